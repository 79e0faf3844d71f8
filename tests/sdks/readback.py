"""What the read API tells of a journey, as an outcome to be checked."""

import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

import httpx

from tests.sdks.journey import Names, Outcome, Person, SeenEvent

GROUP = "$company_{run}-acme"


def _json(client: httpx.Client, path: str) -> Any:
    answer = client.get(path)
    return answer.json() if answer.status_code == 200 else None


def events(client: httpx.Client, contact: str) -> list[SeenEvent]:
    """All events of a contact, page by page."""
    events: list[SeenEvent] = []
    cursor = ""
    while True:
        page = _json(client, f"/v1/contacts/{contact}/events?limit=100&cursor={cursor}")
        if page is None:
            return events
        for event in page["data"]:
            at = datetime.fromisoformat(event["timestamp"])
            events.append(SeenEvent(event["type"], int(at.timestamp() * 1000), event["properties"]))
        if not page.get("next_cursor"):
            return events
        cursor = page["next_cursor"]


def person(client: httpx.Client, name: str) -> Person | None:
    contact = _json(client, f"/v1/contacts/external_id:{name}")
    if contact is None:
        return None
    listed = tuple(events(client, contact["id"]))
    return Person(contact["id"], contact["external_id"], contact["attributes"], listed)


def read_back(client: httpx.Client, names: Names) -> Outcome:
    led = [_json(client, f"/v1/contacts/{kind}:{names.nick}") for kind in ("external_id", "anonymous_id")]
    ids = {contact["id"] for contact in led if contact}
    group = GROUP.format(run=names.run)
    return Outcome(
        ann=person(client, names.ann),
        ben=person(client, names.ben),
        nick=" and ".join(sorted(ids)) or None,
        groups=(group,) if _json(client, f"/v1/contacts/external_id:{group}") else (),
    )


def wait_for(client: httpx.Client, name: str, kind: str, count: int, within_s: float) -> bool:
    """Whether so many events of a kind can be read in time."""

    def there() -> bool:
        contact = person(client, name)
        return contact is not None and sum(seen.type == kind for seen in contact.events) >= count

    return comes_true(there, within_s)


def comes_true(true: Callable[[], bool], within_s: float) -> bool:
    deadline = time.monotonic() + within_s
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True
