"""A million generated contacts in; the times of a contact, a list, and an upsert until its first read out.

The engine generates rows in the sink's form. Each contact has an e-mail address whose own contact id lost to the
contact; one in fifty has two rows and is not merged yet, one in ten is in a segment.
"""

import secrets
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import clickhouse_connect

from schemas.records.identity import contact_id, tenant_prefix
from schemas.settings import Settings
from sinks.maintenance.migrate import migrate
from sinks.read_api.contacts import contact_list, contacts
from sinks.read_api.request.client import ClickHouseReader
from sinks.read_api.request.paging import paging_of
from sinks.read_api.request.tenant import Tenant
from tests.bench.pipeline import quantiles
from tests.support import services
from tests.support.builders import ENVIRONMENT, NOW_MS, WORKSPACE
from tests.support.stack import LocalStack

CHUNKS = 10
MERGED = 200
"""Contacts that are asked for by their address: their hashes are made here, the engine has no base32 of ours."""
SEGMENT = "seg_bench"

_ID = (
    f"concat('{tenant_prefix(WORKSPACE, ENVIRONMENT)}', "
    "leftPad(translate(lower(hex(sipHash64(number))), '0189', 'ghij'), 19, 'a'))"
)
_FILL = f"""
INSERT INTO contacts (workspace, environment, contact_id, email, external_id, identifiers, attributes, consents,
    devices, created_at, updated_at, version)
SELECT '{WORKSPACE}', '{ENVIRONMENT}', {_ID}, concat('u', toString(number), '@example.com'), toString(number),
    [('external_id', toString(number)), ('email', concat('u', toString(number), '@example.com'))],
    concat('{{"plan":"', if(number % 3 = 0, 'pro', 'free'), '","n":', toString(number), '}}'), '{{}}', '[]',
    fromUnixTimestamp64Milli({NOW_MS}) AS at, at + toIntervalSecond(number), {{version:UInt64}}
FROM numbers({{start:UInt64}}, {{count:UInt64}}) WHERE number % {{every:UInt64}} = 0
"""
MEMBERS = f"""
INSERT INTO membership_changes (workspace, environment, segment_id, contact_id, member, at, segment_version, version)
SELECT '{WORKSPACE}', '{ENVIRONMENT}', '{SEGMENT}', {_ID}, 1, fromUnixTimestamp64Milli({NOW_MS}), 1, number + 1
FROM numbers({{count:UInt64}}) WHERE number % 10 = 0
"""
_OVERRIDE = f"""
INSERT INTO contact_overrides (workspace, environment, loser, winner, version, at)
SELECT '{WORKSPACE}', '{ENVIRONMENT}', {{loser:String}}, {_ID}, 1, fromUnixTimestamp64Milli({NOW_MS})
FROM numbers({{n:UInt64}}, 1)
"""


async def fill(settings: Settings, count: int) -> dict[str, Any]:
    """Fills the tables; returns seconds, rows, and some of the ids."""
    await migrate(settings)
    client = await clickhouse_connect.get_async_client(
        dsn=settings.clickhouse,
        database=settings.clickhouse_database,
        autogenerate_session_id=False,
        send_receive_timeout=900,
    )
    began, share = time.perf_counter(), count // CHUNKS
    try:
        for chunk in range(CHUNKS):
            part = {"start": chunk * share, "count": share}
            await client.command(_FILL, parameters={**part, "version": 1, "every": 1})
        await client.command(_FILL, parameters={"start": 0, "count": count, "version": 2, "every": 50})
        await client.command(MEMBERS, parameters={"count": count})
        for n in range(MERGED):
            loser = contact_id(WORKSPACE, ENVIRONMENT, "email", _email(n, count))
            await client.command(_OVERRIDE, parameters={"loser": loser, "n": _spread(n, count)})
        rows = (await client.query("SELECT count() FROM contacts")).result_rows[0][0]
        some = await client.query("SELECT contact_id FROM contacts ORDER BY rand() LIMIT 500")
    finally:
        await client.close()
    return {"rows": rows, "seconds": round(time.perf_counter() - began), "ids": [row[0] for row in some.result_rows]}


def _spread(n: int, count: int) -> int:
    return n * (count // MERGED)


def _email(n: int, count: int) -> str:
    return f"u{_spread(n, count)}@example.com"


async def _timed(ask: Callable[[int], Awaitable[Any]], runs: int) -> dict[str, int]:
    times = []
    for n in range(runs):
        began = time.perf_counter()
        await ask(n)
        times.append((time.perf_counter() - began) * 1000)
    return quantiles(times)


async def measure(folder: Path, count: int, runs: int = 200) -> dict[str, Any]:
    """Measures one contact, and lists of fifty, straight from the engine; each round reads others."""
    with services.clickhouse(folder, "") as service:
        settings = services.fresh_settings(folder, clickhouse=service.address)
        filled = await fill(settings, count)
        ids = filled.pop("ids")
        figures: dict[str, Any] = {"filled": filled}
        reader = ClickHouseReader(settings)
        await reader.start()
        home = Tenant(WORKSPACE, ENVIRONMENT)

        async def listed(query: dict[str, str], segment: str | None = None) -> Any:
            paging = paging_of({"limit": "50", **query})
            answer = await contact_list.contacts(reader, home, query, paging, segment)
            assert answer["data"], query
            return answer

        asks: dict[str, Callable[[int], Awaitable[Any]]] = {
            "one by id": lambda n: contacts.get(reader, home, ids[n % len(ids)]),
            "one by e-mail": lambda n: contacts.get(reader, home, f"email:{_email(n % MERGED, count)}"),
            "50 by page": lambda n: listed({"page": str(1 + n % 5)}),
            "50 by cursor": lambda n: listed({"cursor": ""}),
            "50 by e-mail": lambda n: listed({"email": _email(n % MERGED, count)}),
            "50 of a segment": lambda _: listed({}, SEGMENT),
            "50 updated since": lambda _: listed({"updated_since": str(NOW_MS + (count - 1000) * 1000)}),
        }
        try:
            for name, ask in asks.items():
                figures[name] = await _timed(ask, runs if name.startswith("one") else max(20, runs // 4))
        finally:
            await reader.stop()
    return figures


async def upserts(stack: LocalStack, count: int) -> dict[str, int]:
    """Measures an upsert from its request until its response, which all later reads repeat."""
    waits = []
    async with stack.client() as client:
        for n in range(count):
            email = f"{secrets.token_hex(6)}@example.com"
            began = time.perf_counter()
            answer = await client.post("/v1/contacts", json={"email": email, "attributes": {"n": n}})
            waits.append((time.perf_counter() - began) * 1000)
            assert answer.status_code in (200, 201), answer.text
            answer = (await client.get(f"/v1/contacts/email:{email}")).json()
            assert answer["attributes"] == {"n": n}, answer
    return quantiles(waits)
