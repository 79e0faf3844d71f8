"""Bodies in every encoding, whole, cut short and made to explode."""

import asyncio
import gzip
import random
import time
import zlib
from typing import Any

import brotli
import pytest
import zstandard
from starlette.requests import ClientDisconnect

from ingest.http import body
from schemas.errors import ApiError
from schemas.service.memory_budget import UNKNOWN, Budget

LIMIT = 1024 * 1024
TEXT = b'{"type":"t","user_id":"u"}' * 100
PACKED = {
    b"gzip": gzip.compress(TEXT),
    b"X-GZIP": gzip.compress(TEXT),
    b"deflate": zlib.compress(TEXT),
    b"br": brotli.compress(TEXT),
    b"zstd": zstandard.ZstdCompressor().compress(TEXT),
}
BOMB = b"\0" * (200 * LIMIT)


@pytest.mark.parametrize("encoding", PACKED, ids=bytes.decode)
def test_every_encoding_is_undone(encoding: bytes) -> None:
    assert body.decode(PACKED[encoding], encoding, LIMIT) == TEXT


@pytest.mark.parametrize(
    ("encoding", "data"),
    [
        (b"gzip", gzip.compress(TEXT[:100]) + gzip.compress(b"") + gzip.compress(TEXT[100:])),
        (b"zstd", zstandard.compress(TEXT[:100]) + zstandard.compress(TEXT[100:])),
        (b"GZip , identity", gzip.compress(TEXT)),
        (b"deflate, gzip", gzip.compress(zlib.compress(TEXT))),
        (b"gzip,br", brotli.compress(gzip.compress(TEXT))),
    ],
)
def test_members_frames_and_lists_of_codings_are_one_body(encoding: bytes, data: bytes) -> None:
    assert body.decode(data, encoding, LIMIT) == TEXT


@pytest.mark.parametrize("encoding", PACKED, ids=bytes.decode)
def test_what_stands_behind_the_end_is_refused(encoding: bytes) -> None:
    with pytest.raises(ApiError) as refused:
        body.decode(PACKED[encoding] + b"{}", encoding, LIMIT)
    assert refused.value.code == "invalid_encoding"


def test_the_limit_holds_for_the_sum_of_all_members() -> None:
    member = gzip.compress(bytes(LIMIT // 4))
    assert len(body.decode(member * 4, b"gzip", LIMIT)) == LIMIT
    with pytest.raises(ApiError, match="larger"):
        body.decode(member * 5, b"gzip", LIMIT)
    frame = zstandard.compress(bytes(LIMIT // 4))
    with pytest.raises(ApiError, match="larger"):
        body.decode(frame * 5, b"zstd", LIMIT)


@pytest.mark.parametrize("codings", [b"gzip, lz77", b"gzip, gzip, gzip, gzip", b"compress"])
def test_unknown_codings_and_long_lists_are_refused(codings: bytes) -> None:
    with pytest.raises(ApiError) as refused:
        body.decode(b"x", codings, LIMIT)
    assert refused.value.code == "unsupported_media_type"


@pytest.mark.parametrize(("encoding", "member"), [(b"gzip", gzip.compress(b"")), (b"zstd", zstandard.compress(b""))])
def test_many_empty_members_cost_no_more_than_their_bytes(encoding: bytes, member: bytes) -> None:
    start = time.process_time()
    with pytest.raises(ApiError, match="members"):
        body.decode(member * (5 * LIMIT // len(member)), encoding, LIMIT)
    assert time.process_time() - start < 2


def test_a_byte_order_mark_is_skipped() -> None:
    assert body.parse(body.BOM + b"[1]") == [1]
    assert body.parse_batch(body.BOM + b"[1]", "batch") == [1]


def slow(rate_limiter: asyncio.Event) -> body.Receive:
    """A body in two halves, the second one behind a gate."""
    chunks = [b"x" * 50_000] * 2

    async def receive() -> dict[str, Any]:
        if len(chunks) == 1:
            await rate_limiter.wait()
        return {"type": "http.request", "body": chunks.pop(), "more_body": bool(chunks)}

    return receive


async def test_bodies_that_arrive_at_a_time_share_a_budget() -> None:
    budget, rate_limiter = Budget(500_000, "bodies"), asyncio.Event()
    waiting = [asyncio.create_task(body.read(slow(rate_limiter), LIMIT, "a", budget)) for _ in range(5)]
    await asyncio.sleep(0)
    with pytest.raises(ApiError) as refused:
        await body.read(slow(rate_limiter), LIMIT, "a", budget)
    assert refused.value.code == "unavailable"
    for task in waiting[:3]:
        task.cancel()
    await asyncio.gather(*waiting[:3], return_exceptions=True)
    rate_limiter.set()
    assert [len(whole) for whole in await asyncio.gather(*waiting[3:])] == [100_000] * 2
    assert len(await body.read(slow(rate_limiter), LIMIT, "a", budget)) == 100_000, "what they held is given back"
    assert budget.held == 0
    assert not budget._held


async def test_a_flood_of_bodies_without_a_key_leaves_room_for_those_with_one() -> None:
    budget, rate_limiter = Budget(1_000_000, "bodies"), asyncio.Event()
    flood = [asyncio.create_task(body.read(slow(rate_limiter), LIMIT, UNKNOWN, budget)) for _ in range(60)]
    await asyncio.sleep(0)
    assert budget.held <= 500_000
    mine = asyncio.create_task(body.read(slow(rate_limiter), LIMIT, "mine", budget))
    await asyncio.sleep(0)
    rate_limiter.set()
    assert len(await mine) == 100_000
    outcomes = await asyncio.gather(*flood, return_exceptions=True)
    assert sum(isinstance(outcome, ApiError) for outcome in outcomes) >= 50
    assert budget.held == 0


@pytest.mark.parametrize("seed", range(10))
def test_however_many_flood_there_is_room_for_one_more(seed: int) -> None:
    rng, budget = random.Random(seed), Budget(10_000, "bodies")
    held: list[tuple[int, str]] = []
    for _ in range(2_000):
        size, owner = rng.randrange(1, 300), rng.choice("abcde")
        try:
            budget.take(size, owner)
        except ApiError as refused:
            assert refused.status == 503
            if held:
                budget.give(*held.pop(rng.randrange(len(held))))
        else:
            held.append((size, owner))
        assert budget.held == sum(size for size, _ in held) <= 10_000
        for owner in "abcde":
            assert sum(size for size, holder in held if holder == owner) <= 10_000 // 2
    floods = {owner for _, owner in held}
    free = 10_000 - budget.held
    assert free >= 10_000 // (len(floods) + 1) - 300
    budget.take(free // 2, "new")


async def test_a_client_that_goes_away_leaves_no_half_body() -> None:
    messages: list[dict[str, Any]] = [
        {"type": "http.request", "body": b"[1", "more_body": True},
        {"type": "http.disconnect"},
    ]

    async def receive() -> dict[str, Any]:
        return messages.pop(0)

    with pytest.raises(ClientDisconnect):
        await body.read(receive, LIMIT)


def test_a_bare_deflate_stream_is_undone_too() -> None:
    stream = zlib.compressobj(wbits=-15)
    assert body.decode(stream.compress(TEXT) + stream.flush(), b"deflate", LIMIT) == TEXT


@pytest.mark.parametrize(
    ("encoding", "bomb"),
    [
        (b"gzip", gzip.compress(BOMB)),
        (b"deflate", zlib.compress(BOMB)),
        (b"br", brotli.compress(BOMB, quality=1)),
        (b"zstd", zstandard.ZstdCompressor().compress(BOMB)),
    ],
    ids=["gzip", "deflate", "br", "zstd"],
)
def test_a_bomb_is_refused_before_it_unfolds(encoding: bytes, bomb: bytes) -> None:
    assert len(bomb) < LIMIT
    with pytest.raises(ApiError) as refused:
        body.decode(bomb, encoding, LIMIT)
    assert refused.value.code == "too_large"


@pytest.mark.parametrize("encoding", PACKED, ids=bytes.decode)
def test_what_is_cut_short_or_something_else_is_refused(encoding: bytes) -> None:
    for data in (PACKED[encoding][:-5], b"not compressed at all", b""):
        with pytest.raises(ApiError) as refused:
            body.decode(data, encoding, LIMIT)
        assert refused.value.code == "invalid_encoding"


async def test_a_long_body_is_refused_while_it_arrives() -> None:
    reads = 0

    async def receive() -> dict[str, object]:
        nonlocal reads
        reads += 1
        return {"type": "http.request", "body": b"x" * 1000, "more_body": True}

    with pytest.raises(ApiError) as refused:
        await body.read(receive, 10_000)
    assert refused.value.code == "too_large"
    assert reads <= 12
