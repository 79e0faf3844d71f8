"""Micro-batches: who shares a record, who waits, and what the broker's absence costs."""

import asyncio

import pytest

from ingest.events.batching import MAX_EVENTS, BatchAccumulator
from schemas.errors import ApiError
from schemas.record_batches import LEAST_EVENTS, Headers, Origin, origins_in
from schemas.records import codec
from tests.support.builders import event

W: Origin = ("w", "production", "test", 1)


class SlowLog:
    """A broker that acknowledges when it is told to."""

    def __init__(self) -> None:
        self.sent: list[tuple[int, list[str]]] = []
        self.headers: list[Headers] = []
        self.acks: list[asyncio.Future[None]] = []

    async def publish(self, partition: int, record: bytes, headers: Headers) -> None:
        self.headers.append(headers)
        self.sent.append((partition, [e["event_id"] for e in codec.decode_events(record)]))
        ack = asyncio.get_running_loop().create_future()
        self.acks.append(ack)
        await ack


def item(name: str) -> bytes:
    return codec.encode_event(event("external_id:u", event_id=name))


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_what_comes_while_a_record_is_on_its_way_shares_the_next_one() -> None:
    log = SlowLog()
    collector = BatchAccumulator(log.publish, 2, deadline_s=5, buffer_bytes=1 << 20)
    first = collector.add(0, item("a"), W)
    await turns()
    second, third = collector.add(0, item("b"), W), collector.add(0, item("c"), W)
    await turns()
    assert log.sent == [(0, ["a"])]
    assert second is third
    assert not first.done()
    log.acks[0].set_result(None)
    await turns()
    assert first.done()
    assert not second.done()
    assert log.sent == [(0, ["a"]), (0, ["b", "c"])]
    log.acks[1].set_result(None)
    await second
    assert collector.pending_bytes == 0


async def test_a_batch_closes_at_its_limit_and_order_is_kept() -> None:
    log = SlowLog()
    collector = BatchAccumulator(log.publish, 1, deadline_s=5, buffer_bytes=1 << 26)
    futures = [collector.add(0, item(f"e{n}"), W) for n in range(MAX_EVENTS + 3)]
    await turns()
    assert [len(ids) for _, ids in log.sent] == [MAX_EVENTS]
    log.acks[0].set_result(None)
    await turns()
    assert [len(ids) for _, ids in log.sent] == [MAX_EVENTS, 3]
    assert futures[0].done()
    assert not futures[-1].done()
    log.acks[1].set_result(None)
    await turns()


async def test_at_the_deadline_everybody_waiting_gets_503_and_what_was_never_sent_is_not_sent() -> None:
    log = SlowLog()
    collector = BatchAccumulator(log.publish, 1, deadline_s=0.02, buffer_bytes=1 << 20)
    stuck = collector.add(0, item("a"), W)
    await turns()
    waiting = collector.add(0, item("b"), W)
    for future in (stuck, waiting):
        with pytest.raises(ApiError) as refused:
            await future
        assert refused.value.status == 503
    log.acks[0].set_result(None)
    await turns()
    assert log.sent == [(0, ["a"])]
    fresh = collector.add(0, item("c"), W)
    await turns()
    log.acks[1].set_result(None)
    await fresh
    assert log.sent[-1] == (0, ["c"])
    assert collector.pending_bytes == 0


async def test_a_record_of_many_events_counts_them_by_origin() -> None:
    log = SlowLog()
    collector = BatchAccumulator(log.publish, 1, deadline_s=5, buffer_bytes=1 << 20)
    for n in range(LEAST_EVENTS - 1):
        collector.add(0, item(f"few{n}"), W)
    await turns()
    for n in range(LEAST_EVENTS):
        collector.add(0, item(f"many{n}"), (*W[:3], n % 2))
    log.acks[0].set_result(None)
    await turns()
    assert [origins_in(headers) for headers in log.headers] == [
        None,
        {(*W[:3], 0): LEAST_EVENTS // 2, (*W[:3], 1): LEAST_EVENTS // 2},
    ]
    log.acks[1].set_result(None)
    await turns()


async def test_a_full_buffer_refuses_at_once() -> None:
    log = SlowLog()
    collector = BatchAccumulator(log.publish, 1, deadline_s=5, buffer_bytes=100)
    while collector.pending_bytes <= 50:
        collector.add(0, item("a"), W)
    with pytest.raises(ApiError) as refused:
        collector.add(0, item("b"), W)
    assert refused.value.code == "unavailable"
    await turns()
    log.acks[0].set_result(None)
    await turns()


async def test_a_refused_record_fails_its_own_batch_only() -> None:
    calls = 0

    async def publish(_partition: int, _record: bytes, _headers: Headers) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise ApiError("unavailable", "no")

    collector = BatchAccumulator(publish, 1, deadline_s=5, buffer_bytes=1 << 20)
    with pytest.raises(ApiError):
        await collector.add(0, item("a"), W)
    await collector.add(0, item("b"), W)
    assert calls == 2


async def test_a_workspace_that_fills_the_buffer_leaves_room_for_the_others() -> None:
    log, size = SlowLog(), len(item("a"))
    collector = BatchAccumulator(log.publish, 1, deadline_s=5, buffer_bytes=1000 * size)

    def fill(owner: str) -> int:
        count = 0
        while count < 2000:
            try:
                collector.add(0, item("a"), (owner, *W[1:]))
            except ApiError as refused:
                assert refused.code == "unavailable"
                break
            count += 1
        return count

    assert fill("flood") == 501
    assert fill("second") == 250
    assert fill("third") == 125
    assert collector.pending_bytes <= 1000 * size
    while collector.pending_bytes:
        await turns()
        for ack in log.acks:
            if not ack.done():
                ack.set_result(None)
    assert not collector._pending
    assert fill("flood") == 501
    await turns()
    for ack in log.acks:
        if not ack.done():
            ack.set_result(None)
    await turns()
