"""The ClickHouse sink as a process between a real broker and a real engine: what comes in is stored, once."""

import asyncio
from functools import partial
from typing import Any

import orjson
import pytest

from schemas import topics
from schemas.records import codec
from schemas.records.identity import partition_of
from schemas.records.records import Event, Merge
from schemas.records.sameness import event_key
from schemas.settings import Settings
from tests.support.builders import ENVIRONMENT, NOW_MS, WORKSPACE, cid, event, ident
from tests.support.sink_pipeline import Pipeline, change, pipeline, process
from tests.support.waiting import eventually

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse]


def placed(number: int, **more: Any) -> Event:
    """Event ``number`` as identity would send it: it stood at that offset of `events`."""
    fields: dict[str, Any] = {"origin_partition": 0, "origin_offset": number, "origin_index": 0, **more}
    return event("external_id:u1", event_id=str(fields.pop("event_id", f"evt_{number}")), **fields)


async def stored(pipe: Pipeline, count: int) -> bool:
    return bool((await pipe.rows("SELECT count() FROM events"))[0][0] >= count)


async def test_an_event_becomes_a_row(settings: Settings) -> None:
    async with pipeline(settings) as pipe:
        async with process(settings, "clickhouse"):
            await pipe.resolved([event("external_id:u1", event_id="evt_1", properties={"total": 5}, campaign_id="c")])
            await eventually(lambda: stored(pipe, 1), "a row")
        rows = await pipe.rows(
            "SELECT workspace, environment, event_id, contact_id, type, toUnixTimestamp64Milli(timestamp),"
            " toUnixTimestamp64Milli(received_at), properties, campaign_id, identifiers, _kind, _topic, _partition,"
            " _offset, _index FROM events"
        )
    identifiers = [{"type": "external_id", "value": "u1"}]
    place = (topics.name(topics.RESOLVED, settings), 0, 0, 0)
    assert rows == [
        (
            *(WORKSPACE, ENVIRONMENT, "evt_1", cid("external_id:u1"), "page_view", NOW_MS, NOW_MS, '{"total":5}', "c"),
            *(identifiers, "track", *place),
        )
    ]


async def test_a_backlog_is_stored_whole_in_few_blocks(settings: Settings) -> None:
    """Records of many events on all partitions, and settings that make several blocks of them."""
    smaller = settings.model_copy(update={"block_rows": 2000})
    async with pipeline(smaller) as pipe:
        for n in range(100):
            batch = [placed(n, event_id=f"evt_{n}_{i}", origin_index=i, origin_partition=n % 4) for i in range(100)]
            await pipe.resolved(batch, partition=n % 4)
        async with process(smaller, "clickhouse"):
            await eventually(lambda: stored(pipe, 10_000), "all rows")
        rows = await pipe.rows(
            "SELECT count(), uniqExact(event_id), uniqExact(_partition, _offset, _index) FROM events"
        )
        blocks = await pipe.rows("SELECT count() FROM (SELECT DISTINCT _stored_at FROM events)")
    assert rows == [(10_000, 10_000, 10_000)]
    assert 5 <= blocks[0][0] < 20


async def test_what_a_client_sends_again_is_a_duplicate(settings: Settings) -> None:
    async with pipeline(settings) as pipe:
        async with process(settings, "clickhouse"):
            await pipe.resolved([placed(1), placed(2), placed(3, event_id="evt_1", task_id="task_3")])
            await pipe.resolved([placed(4)])
            await eventually(lambda: stored(pipe, 3), "the last event's row")
        events = await pipe.rows("SELECT event_id FROM events ORDER BY event_id")
        again = await pipe.rows("SELECT event_id, _task_id, _origin_offset FROM duplicates")
    assert events == [("evt_1",), ("evt_2",), ("evt_4",)]
    assert again == [("evt_1", "task_3", 3)]


async def test_what_a_stage_repeats_after_a_crash_is_stored_once(settings: Settings) -> None:
    """Also over a restart of the sink; and what the crash kept from coming the first time is stored."""
    async with pipeline(settings) as pipe:
        await pipe.run("SYSTEM STOP MERGES events")
        async with process(settings, "clickhouse"):
            await pipe.resolved([placed(1), placed(2), placed(4)])
            await eventually(lambda: stored(pipe, 3), "the first three")
            await pipe.resolved([placed(1), placed(2), placed(3), placed(4), placed(5)])
            await eventually(lambda: stored(pipe, 5), "the two new ones")
        async with process(settings, "clickhouse"):
            await pipe.resolved([placed(4), placed(5), placed(6)])
            await eventually(lambda: stored(pipe, 6), "the next one")
        rows = await pipe.rows("SELECT event_id FROM events ORDER BY event_id")
        again = await pipe.rows("SELECT count() FROM duplicates")
    assert rows == [(f"evt_{n}",) for n in range(1, 7)]
    assert again == [(0,)]


async def test_changes_become_contacts_and_memberships(settings: Settings) -> None:
    contact = cid("email:a@b.c")
    profile = {
        "email": "a@b.c",
        "identifiers": [ident("email:a@b.c"), ident("anonymous_id:x")],
        "attributes": {"plan": "pro"},
        "consents": {"email_marketing": True},
        "devices": [{"device_id": "d"}],
        "created_ms": 1000,
        "updated_ms": 2000,
    }
    async with pipeline(settings) as pipe:
        async with process(settings, "clickhouse"):
            await pipe.changes(
                change(contact, "profile", 1, profile=b"{}"),
                change(contact, "membership", 2, segment_id="seg_1", member=True, segment_version=1, reason="event"),
                change(contact, "profile", 3, profile=orjson.dumps(profile)),
                change(contact, "membership", 4, segment_id="seg_1", member=False, segment_version=1, reason="time"),
                change(contact, "membership", 5, segment_id="seg_2", member=True, segment_version=1, reason="event"),
                change(contact, "profile", 2, profile=b"{}"),
            )
            log = "SELECT segment_id, member, version FROM membership_changes ORDER BY version"
            await eventually(lambda: pipe.rows("SELECT 1 FROM membership_changes WHERE version = 5"), "changes")
            await eventually(lambda: pipe.rows("SELECT 1 FROM contacts"), "a contact")
        contacts = await pipe.rows(
            "SELECT email, phone, anonymous_ids, attributes, consents, devices, version,"
            " toUnixTimestamp64Milli(created_at), toUnixTimestamp64Milli(updated_at) FROM contacts FINAL"
        )
        changes = await pipe.rows(log)
        members = [
            await pipe.rows(f"SELECT segment_id, member FROM {t} FINAL ORDER BY segment_id")
            for t in ("memberships", "contact_memberships")
        ]
    devices = '[{"device_id":"d"}]'
    assert contacts == [("a@b.c", "", ["x"], '{"plan":"pro"}', '{"email_marketing":true}', devices, 3, 1000, 2000)]
    assert changes == [("seg_1", 1, 2), ("seg_1", 0, 4), ("seg_2", 1, 5)]
    assert members == [[("seg_1", 0), ("seg_2", 1)]] * 2


async def test_a_merge_moves_events_and_a_split_gives_them_back(settings: Settings) -> None:
    loser, winner = cid("anonymous_id:x"), cid("external_id:u1")

    def merge(into: str, version: int) -> bytes:
        return codec.encode_merge(
            Merge(
                workspace=WORKSPACE,
                environment=ENVIRONMENT,
                loser=loser,
                winner=into,
                version=version,
                at_ms=NOW_MS,
                event_id="evt_2",
                identifier=ident("anonymous_id:x"),
            )
        )

    async with pipeline(settings) as pipe, process(settings, "clickhouse"):
        await pipe.resolved([event("anonymous_id:x", event_id="evt_1")])
        owner = "SELECT contact_id, stored_contact_id FROM events_resolved"
        await eventually(lambda: stored(pipe, 1), "a row")
        before = await pipe.rows(owner)
        partition = partition_of(loser, settings.partitions)
        await pipe.raw(topics.MERGES, merge(winner, 1), partition, loser.encode())
        await eventually(lambda: pipe.rows("SELECT 1 FROM contact_overrides WHERE version = 1"), "the merge")
        merged = await pipe.rows(owner)
        await pipe.raw(topics.MERGES, merge(loser, 2), partition, loser.encode())
        await pipe.raw(topics.MERGES, None, partition, b"nobody")
        await eventually(lambda: pipe.rows("SELECT 1 FROM contact_overrides WHERE version = 2"), "the split")
        split = await pipe.rows(owner)
    assert (before, merged, split) == ([(loser, loser)], [(winner, loser)], [(loser, loser)])


async def test_receipts_follow_what_they_are_for(settings: Settings) -> None:
    """When one is there the row is there; a duplicate gets its receipt too; who does not wait gets none."""
    contact = cid("external_id:u1")
    async with pipeline(settings) as pipe, process(settings, "clickhouse"):
        await pipe.resolved([placed(1, reply_to="edge_1", task_id="t1"), placed(2)])
        (first,) = await pipe.read(topics.RECEIPTS, 1)
        rows = await pipe.rows("SELECT count() FROM events")
        await pipe.resolved([placed(3, event_id="evt_1", reply_to="edge_1", task_id="t3")])
        await pipe.changes(
            change(contact, "membership", 1, segment_id="seg_1", member=True, segment_version=1, reason="event"),
            change(contact, "applied", 2, event_id="evt_1", reply_to="edge_1", task_id="t1", entered=["seg_1"]),
        )
        received = await pipe.read(topics.RECEIPTS, 3)
        members = await pipe.rows("SELECT segment_id FROM memberships FINAL WHERE member")
    receipts = [r for record in received for r in codec.decode_receipts(record.value)]
    assert rows == [(2,)]
    assert members == [("seg_1",)]
    assert {(r.key, r.partition) for r in [first, *received]} == {
        (b"edge_1", partition_of("edge_1", settings.partitions))
    }
    assert sorted(
        (r["event_id"], r["task_id"], r["stage"], tuple(r["entered"]), tuple(r["left"])) for r in receipts
    ) == [
        ("evt_1", "t1", "applied", ("seg_1",), ()),
        (event_key(placed(1)), "t1", "stored", (), ()),
        (event_key(placed(1)), "t3", "stored", (), ()),
    ]


async def test_an_event_alone_is_readable_at_once(settings: Settings) -> None:
    """Though the block time is ten seconds: it bounds how long a block gathers, and one alone does not gather."""
    slow = settings.model_copy(update={"block_ms": 10_000})
    waits: list[float] = []
    async with pipeline(slow) as pipe, process(slow, "clickhouse"):
        for n in range(9):
            began = asyncio.get_running_loop().time()
            await pipe.resolved([placed(n)])
            await eventually(partial(stored, pipe, n + 1), "its row")
            waits.append(asyncio.get_running_loop().time() - began)
    assert sorted(waits)[4] < 2.5, waits
