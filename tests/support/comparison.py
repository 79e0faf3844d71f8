"""A quiet stack and a ledger in; all differences between the two, in words, out."""

import asyncio
import time
from typing import Any

import httpx

from tests.support.sent_ledger import SentLedger, contact_ids, identifiers
from tests.support.stack import LocalStack
from tests.support.waiting import eventually


async def rows(stack: LocalStack, sql: str, **parameters: Any) -> list[tuple[Any, ...]]:
    """Runs an analyst's query."""
    client = await stack.database()
    try:
        return [tuple(row) for row in (await client.query(sql, parameters=parameters)).result_rows]
    finally:
        await client.close()


async def create_segments(stack: LocalStack, rules: dict[str, Any]) -> dict[str, str]:
    """Creates segments through the API; returns their ids by name."""
    ids = {}
    async with stack.client() as client:
        for name, rule in rules.items():
            answer = await client.post("/v1/segments", json={"name": name, "rule": rule})
            assert answer.status_code == 201, answer.text
            ids[name] = answer.json()["id"]
    return ids


async def create_live_segments(stack: LocalStack, rules: dict[str, Any]) -> dict[str, str]:
    """Creates segments, and waits until they are live: events change their members from then on."""
    ids = await create_segments(stack, rules)
    async with stack.client() as client:
        for name, list_id in ids.items():
            path = f"/v1/segments/{list_id}"
            await eventually(lambda path=path: client.get(path), f"{name} is live", 60, meets=_is_live)  # type: ignore[misc]
    return ids


def _is_live(answer: httpx.Response) -> bool:
    return answer.status_code == 200 and answer.json()["status"] == "live"


async def differences(stack: LocalStack, ledger: SentLedger, segments: dict[str, str], prefix: str) -> list[str]:
    """Empty if the stack has every event once, and its contacts and memberships equal the recount.

    ``prefix`` selects the event ids to compare, if the stack has other events too.
    """
    return [
        *await _events(stack, ledger, prefix),
        *await _contacts(stack, ledger),
        *await _memberships(stack, ledger, segments),
        *await _balance(stack, prefix),
    ]


async def _balance(stack: LocalStack, prefix: str) -> list[str]:
    """Each accepted event is stored, a duplicate, quarantined or suppressed, in each minute of the last hour."""
    async with stack.client() as client:
        answer = await client.get("/v1/ledger")
        body = answer.json()
    stored = await rows(
        stack, "SELECT count() FROM events FINAL WHERE workspace = 'local' AND environment = 'production'"
    )
    problems = [f"the ledger does not balance: {row}" for row in body["data"] if row["residual"]][:3]
    if not prefix and body["totals"]["stored"] != stored[0][0]:
        problems.append(f"the ledger counts {body['totals']} where {stored} rows are stored")
    return problems


async def _events(stack: LocalStack, ledger: SentLedger, prefix: str) -> list[str]:
    counts = await rows(
        stack,
        "SELECT event_id, count() FROM events FINAL WHERE startsWith(event_id, {prefix:String}) GROUP BY event_id",
        prefix=prefix,
    )
    stored = {event_id for event_id, _ in counts}
    twice = [event_id for event_id, count in counts if count > 1]
    missing, extra = ledger.events.keys() - stored, stored - ledger.events.keys()
    return [
        f"{what}: {len(some)}, such as {sorted(some)[:3]}"
        for what, some in (("missing", missing), ("unknown", extra), ("stored twice", twice))
        if some
    ]


async def _contacts(stack: LocalStack, ledger: SentLedger) -> list[str]:
    resolved = dict(await rows(stack, "SELECT event_id, contact_id FROM events_resolved"))
    by_contact: dict[str, set[str]] = {}
    for event_id, contact in resolved.items():
        if event_id in ledger.events:
            by_contact.setdefault(contact, set()).add(event_id)
    parts = ledger.groups()
    expected: dict[frozenset[str], set[str]] = {}
    for event_id, event in ledger.events.items():
        expected.setdefault(frozenset(parts[identifiers(event)[0]]), set()).add(event_id)
    wrong = [
        f"events of {sorted(part)[:3]} belong to {sorted({resolved.get(e, '-') for e in events})[:3]}"
        for part, events in expected.items()
        if not any(by_contact.get(c) == events for c in contact_ids(part))
    ]
    return [f"contacts that differ: {len(wrong)} of {len(expected)}; {wrong[0]}"] if wrong else []


async def _memberships(stack: LocalStack, ledger: SentLedger, segments: dict[str, str]) -> list[str]:
    problems = []
    for name, parts in ledger.members().items() if segments else ():
        stored = await rows(
            stack,
            "SELECT contact_id FROM memberships FINAL WHERE segment_id = {segment:String} AND member",
            segment=segments[name],
        )
        members = {contact for (contact,) in stored}
        missing = [part for part in parts if not members & contact_ids(part)]
        allowed = set().union(*(contact_ids(part) for part in parts)) if parts else set()
        extra = members - allowed
        if missing or extra or len(members) != len(parts):
            problems.append(
                f"segment {name}: {len(members)} members instead of {len(parts)}; missing {len(missing)} "
                f"{[sorted(m)[:2] for m in missing[:2]]}, too many {sorted(extra)[:2]}"
            )
    return problems


async def settled(
    stack: LocalStack, ledger: SentLedger, segments: dict[str, str], *, within_s: float, prefix: str = ""
) -> list[str]:
    """Returns the differences that remain after ``within_s``; returns at once without any."""
    deadline = time.monotonic() + within_s
    while True:
        try:
            problems = await differences(stack, ledger, segments, prefix)
        except Exception as error:  # noqa: BLE001 - the database itself may be restarting
            problems = [repr(error)]
        if not problems or time.monotonic() > deadline:
            return problems
        await asyncio.sleep(0.5)
