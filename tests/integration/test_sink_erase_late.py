"""What comes to the tables between the two passes of an erasure goes with the second."""

import time
from collections.abc import AsyncIterator
from typing import Any

import clickhouse_connect
import pytest
import pytest_asyncio

from schemas.control.definitions import Erasure
from schemas.settings import Settings
from sinks.maintenance.erase import EVENTS, erase
from sinks.maintenance.migrate import migrate
from tests.support.builders import ENVIRONMENT, WORKSPACE

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse]


@pytest_asyncio.fixture
async def client(settings: Settings) -> AsyncIterator[Any]:
    await migrate(settings)
    client = await clickhouse_connect.get_async_client(
        dsn=settings.clickhouse, database=settings.clickhouse_database, autogenerate_session_id=False
    )
    yield client
    await client.close()


async def test_a_record_put_aside_after_the_first_pass_goes_with_the_second(client: Any) -> None:
    """Its payload names no contact id: only the event's row told that it is the contact's."""
    now_ms = time.time_ns() // 1_000_000
    home = f"'{WORKSPACE}', '{ENVIRONMENT}', 'evt_1'"
    at = f"fromUnixTimestamp64Milli({now_ms - 1})"
    await client.command(
        f"INSERT INTO events (workspace, environment, event_id, own_contact_id, contact_id, received_at)"
        f" SELECT {home}, 'cnt_gone', 'cnt_gone', {at}"
    )
    erasure = Erasure(
        id="ers_1",
        workspace=WORKSPACE,
        environment=ENVIRONMENT,
        created_ms=now_ms,
        contacts=("cnt_gone",),
        erased_ms=now_ms,
    )
    await erase([client], erasure, now_ms, EVENTS)
    await client.command(
        f"INSERT INTO quarantine (workspace, event_id, payload, at, `offset`)"
        f" SELECT '{WORKSPACE}', 'evt_1', 'gone@x.y', {at}, 1"
    )
    await client.command(
        f"INSERT INTO duplicates (workspace, environment, event_id, own_contact_id, received_at)"
        f" SELECT {home}, 'cnt_gone', {at}"
    )
    await erase([client], erasure, now_ms + 1000)
    for table in ("duplicates", "quarantine", "events"):
        assert (await client.query(f"SELECT count() FROM {table}")).result_rows == [(0,)], table
