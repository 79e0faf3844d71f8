"""Folding merges into event rows, on a real engine: no number moves, not by it and not after it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from schemas.control.definitions import Erasure
from sinks.clickhouse.rows import CONTACTS, EVENTS, OVERRIDES
from sinks.maintenance import compact as squashing
from sinks.maintenance.compact import CompactionResult, compact_merges
from sinks.maintenance.erase import erase
from tests.integration.contact_rows import contact, merge
from tests.support.builders import ENVIRONMENT, NOW_MS, WORKSPACE, cid, event
from tests.support.services import fresh_settings
from tests.support.sink_pipeline import ReadPipeline, reads
from tests.support.waiting import eventually

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse]

USERS, BROWSERS = 5, 12


@pytest_asyncio.fixture
async def api(kafka: str, clickhouse: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ReadPipeline]:
    settings = fresh_settings(tmp_path_factory.mktemp("squash"), kafka=kafka, clickhouse=clickhouse)
    async with reads(settings) as api:
        yield api


def seen(names: list[str], start: int = 0, **more: Any) -> list[Any]:
    return [
        event(name, event_id=f"evt_{start + n}", campaign_id=f"cmp_{n % 3}", **more) for n, name in enumerate(names)
    ]


async def numbers(api: ReadPipeline) -> dict[str, Any]:
    """What an analyst and a client count."""
    users = [f"external_id:u{n}" for n in range(USERS)]
    return {
        "per contact": dict(await api.rows("SELECT contact_id, count() FROM events_resolved GROUP BY contact_id")),
        "per campaign": await api.rows(
            "SELECT campaign_id, uniqExact(contact_id), count() FROM events_resolved GROUP BY campaign_id ORDER BY 1"
        ),
        "events": [
            [e["event_id"] for e in (await api.get(f"/v1/contacts/{name}/events", limit=100))["data"]] for name in users
        ],
    }


async def test_no_number_moves(api: ReadPipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before, after, in several passes, again, with late rows of old ids, and after a split and a merge anew."""
    users = [f"external_id:u{n}" for n in range(USERS)]
    browsers = [f"anonymous_id:b{n}" for n in range(BROWSERS)]
    await api.store(CONTACTS, *(contact(name) for name in users))
    await api.store(EVENTS, *seen((users + browsers) * 3))
    await api.store(OVERRIDES, *(merge(name, users[n % USERS], n + 1) for n, name in enumerate(browsers)))
    before = await numbers(api)
    assert sum(before["per contact"].values()) == 3 * (USERS + BROWSERS)
    assert len(before["per contact"]) == USERS
    monkeypatch.setattr(squashing, "MOST_AT_ONCE", 5)
    assert await compact_merges(api.settings) == CompactionResult(overrides=0, passes=1), "what is young is left alone"
    assert await api.rows("SELECT DISTINCT _squashed FROM events") == [(0,)]
    assert await compact_merges(api.settings, age_s=0) == CompactionResult(overrides=BROWSERS, passes=3)
    assert await numbers(api) == before
    moved = await api.rows("SELECT uniqExact(contact_id), countIf(_squashed), countIf(NOT _squashed) FROM events FINAL")
    assert moved == [(USERS, 3 * (USERS + BROWSERS), 0)]
    assert await compact_merges(api.settings, age_s=0) == CompactionResult(overrides=0, passes=1)
    assert await numbers(api) == before
    # a row that was on its way with the id of before, and one of nobody
    await api.store(EVENTS, *seen([browsers[0]], 900), event(event_id="evt_nobody"))
    late = await numbers(api)
    assert late["per contact"][cid(users[0])] == before["per contact"][cid(users[0])] + 1
    assert "" in late["per contact"]
    # a split, and another merge
    await api.store(OVERRIDES, merge(browsers[0], browsers[0], 100), merge(browsers[1], users[4], 101))
    split = await numbers(api)
    assert split["per contact"][cid(browsers[0])] == 4
    assert split["per contact"][cid(users[1])] == before["per contact"][cid(users[1])] - 3
    done = await asyncio.gather(*(compact_merges(api.settings, age_s=0) for _ in range(3)))
    assert CompactionResult(overrides=2, passes=1) in done, "two never run at the same time"
    assert await numbers(api) == split
    assert await api.rows(
        "SELECT count() FROM system.tables WHERE database = currentDatabase() AND name LIKE '_squash%'"
    ) == [(0,)]


async def test_a_squash_that_is_cut_off_holds_up_nothing(api: ReadPipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cancelled as a deploy does while its mutation runs; the next squash and an erasure go through."""
    await api.store(EVENTS, *seen(["anonymous_id:b1", "external_id:u1"] * 50))
    await api.store(OVERRIDES, merge("anonymous_id:b1", "external_id:u1"))
    slow = squashing._FOLD.replace("_squashed = 1", "_squashed = 1 + 0 * sleepEachRow(0.02)")
    monkeypatch.setattr(squashing, "_FOLD", slow)
    settings = api.settings
    running = asyncio.create_task(compact_merges(settings, 0))

    async def under_way() -> bool:
        rows = await api.rows("SELECT count() FROM system.mutations WHERE table = 'events' AND NOT is_done")
        return bool(rows[0][0])

    await eventually(under_way, "the mutation")
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    monkeypatch.undo()
    assert not await under_way()
    scratch = "SELECT name FROM system.tables WHERE database = currentDatabase() AND startsWith(name, '_squash')"
    assert await api.rows(scratch) == []
    assert await compact_merges(settings, 0) is not None


async def test_what_a_killed_squash_left_behind_goes(api: ReadPipeline) -> None:
    """Its mutation reads a table that is gone: every later rewrite of the rows waited for it, erasures too."""
    await api.store(EVENTS, *seen(["anonymous_id:b1", "external_id:u1"]))
    await api.store(OVERRIDES, merge("anonymous_id:b1", "external_id:u1"))
    client = api._client
    await client.command("SYSTEM STOP MERGES events")
    await client.command("CREATE TABLE _squash_0a (loser String, winner String) ENGINE = Join(ANY, LEFT, loser)")
    await client.command(
        f"ALTER TABLE events UPDATE contact_id = joinGet('{client.database}._squash_0a', 'winner', own_contact_id)"
        " WHERE 1",
        settings={"mutations_sync": "0"},
    )
    await client.command("DROP TABLE _squash_0a SYNC")
    await client.command("CREATE TABLE _squash_0b (x UInt8) ENGINE = Memory")
    await client.command("SYSTEM START MERGES events")
    assert await compact_merges(api.settings, 0) is not None
    left = await api.rows("SELECT count() FROM system.mutations WHERE table = 'events' AND NOT is_done")
    assert left == [(0,)]
    await asyncio.wait_for(_erase(api), 30)
    assert await api.rows("SELECT count() FROM events FINAL WHERE contact_id = ''") == [(0,)]


async def _erase(api: ReadPipeline) -> None:
    erasure = Erasure(
        id="ers_1",
        workspace=WORKSPACE,
        environment=ENVIRONMENT,
        created_ms=NOW_MS,
        contacts=(cid("anonymous_id:b1"),),
        erased_ms=NOW_MS + 1,
    )
    await erase([api._client], erasure, NOW_MS + 1)
    assert await api.rows(f"SELECT count() FROM events FINAL WHERE own_contact_id = '{erasure.contacts[0]}'") == [(0,)]
