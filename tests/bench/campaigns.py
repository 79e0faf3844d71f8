"""Generated rows in; the engine's times for a campaign's figures among many events out.

The engine generates rows in the sink's form: 1,000 campaigns, a million contacts of which a tenth has merged; two in a
hundred events are stored twice and not merged yet.
"""

import statistics
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import clickhouse_connect

from schemas.control.control_state import Campaign, Conversion
from schemas.settings import Settings
from sinks.maintenance.migrate import migrate
from sinks.read_api.campaigns import campaigns, deliveries, series
from sinks.read_api.request import paging
from sinks.read_api.request.client import ClickHouseReader
from sinks.read_api.request.tenant import Tenant
from tests.support import services
from tests.support.builders import ENVIRONMENT, NOW_MS, WORKSPACE

CAMPAIGNS = 1000
CONTACTS = 1_000_000
CHUNKS = 20
EVENTS_A_MESSAGE = 2.5

_CONTACT = f"concat('cnt_', leftPad(toString(intHash32(message) % {CONTACTS}), 24, 'a'))"
_FILL = f"""
INSERT INTO events (workspace, environment, event_id, contact_id, own_contact_id, type, timestamp, received_at,
    properties, campaign_id, message_id, variant, channel, source, _offset)
SELECT '{WORKSPACE}', '{ENVIRONMENT}', concat('evt_', toString(message), '_', step), {_CONTACT} AS who, who,
    concat('message.', step), fromUnixTimestamp64Milli({NOW_MS} + toInt64(message % 86400000)) AS at, at,
    if(step = 'opened', if(message % 3 = 0, '{{"user_agent":"Mozilla/5.0"}}', '{{"user_agent":"Firefox/1"}}'), '{{}}'),
    concat('cmp_', toString(intDiv(message, {{share:UInt64}}))), concat('msg_', toString(message)),
    if(message % 2 = 0, 'a', 'b'), 'email', 'altacee', toInt64(number)
FROM
(
    SELECT number, number AS message, arrayJoin(arrayConcat(
        ['sent'], if(number % 50 != 0, ['delivered'], ['bounced']), if(number % 5 < 2, ['opened'], []),
        if(number % 10 = 0, ['clicked'], []))) AS step
    FROM numbers({{start:UInt64}}, {{count:UInt64}})
)
"""
_AGAIN = """
INSERT INTO events (workspace, environment, event_id, contact_id, own_contact_id, type, timestamp, received_at,
    properties, campaign_id, message_id, variant, channel, source, _offset)
SELECT workspace, environment, event_id, contact_id, own_contact_id, type, timestamp, received_at + 1, properties,
    campaign_id, message_id, variant, channel, source, _offset
FROM events WHERE cityHash64(event_id) % 50 = 0
"""
_MERGES = f"""
INSERT INTO contact_overrides (workspace, environment, loser, winner, version, at)
SELECT '{WORKSPACE}', '{ENVIRONMENT}', concat('cnt_', leftPad(toString(number), 24, 'a')),
    concat('cnt_', leftPad(toString(number + 500000), 24, 'a')), number + 1, fromUnixTimestamp64Milli({NOW_MS})
FROM numbers(100000)
"""


def _campaign(n: int, *, goal: bool = False) -> Campaign:
    home = {"workspace": WORKSPACE, "environment": ENVIRONMENT, "created_ms": NOW_MS, "updated_ms": NOW_MS}
    conversion = Conversion(event="order_completed", window="7d", value="total") if goal else None
    named = {"name": f"Campaign {n}", "channel": "email", "status": "sent", "number": n}
    return Campaign(id=f"cmp_{n}", conversion=conversion, **named, **home)


async def fill(settings: Settings, events: int) -> dict[str, Any]:
    """Fills the tables; returns seconds and rows."""
    await migrate(settings)
    client = await clickhouse_connect.get_async_client(
        dsn=settings.clickhouse,
        database=settings.clickhouse_database,
        autogenerate_session_id=False,
        send_receive_timeout=900,
    )
    began = time.perf_counter()
    messages = int(events / EVENTS_A_MESSAGE)
    try:
        for chunk in range(CHUNKS):
            part = {"start": messages * chunk // CHUNKS, "count": messages // CHUNKS, "share": messages // CAMPAIGNS}
            await client.command(_FILL, parameters=part)
        await client.command(_AGAIN)
        await client.command(_MERGES)
        rows = (await client.query("SELECT count() FROM events")).result_rows[0][0]
    finally:
        await client.close()
    return {"rows": rows, "seconds": round(time.perf_counter() - began)}


async def _timed(ask: Callable[[int], Awaitable[Any]], runs: int) -> dict[str, int]:
    times = []
    for n in range(runs):
        began = time.perf_counter()
        await ask(n)
        times.append((time.perf_counter() - began) * 1000)
    return {"p50_ms": round(statistics.median(times)), "max_ms": round(max(times))}


async def measure(folder: Path, events: int, runs: int = 9) -> dict[str, Any]:
    """Measures one campaign, a list of fifty, deliveries and a series; each round reads other campaigns."""
    with services.clickhouse(folder, "") as service:
        settings = services.fresh_settings(folder, clickhouse=service.address)
        figures: dict[str, Any] = {"filled": await fill(settings, events)}
        reader = ClickHouseReader(settings)
        await reader.start()
        home = Tenant(WORKSPACE, ENVIRONMENT)
        some = [_campaign(n) for n in range(CAMPAIGNS)]
        page = paging.paging_of({})
        fifty = paging.paging_of({"limit": "50"})
        asks: dict[str, Callable[[int], Awaitable[Any]]] = {
            "one": lambda n: campaigns.details(reader, home, some[n * 31 + 5], {}),
            "one, with a goal": lambda n: campaigns.details(reader, home, _campaign(n * 31 + 6, goal=True), {}),
            "one, as of": lambda n: campaigns.details(reader, home, some[n * 31 + 7], {"as_of": "2030-01-01"}),
            "list of 50": lambda n: campaigns.page(reader, home, some[n * 50 :], fifty, {}),
            "deliveries": lambda n: deliveries.deliveries(reader, home, some[n * 31 + 8], {}, page),
            "timeseries": lambda n: series.series(reader, home, some[n * 31 + 9], {"interval": "hour"}),
        }
        try:
            for name, ask in asks.items():
                figures[name] = await _timed(ask, runs)
        finally:
            await reader.stop()
    return figures
