"""What an edge remembers is bounded in bytes, and a flood of one workspace makes no other forget."""

import asyncio
import random

import pytest

from ingest.events.ack_cache import EventAckCache
from ingest.events.raw import Reply
from ingest.events.replay_cache import RequestReplayCache
from ingest.http.fair_cache import FairCache
from ingest.http.key_usage import PAUSE_MS, KeyUsageRecorder
from ingest.http.rate_limit import RateLimiter
from schemas.control.access import Principal
from schemas.control.control_state import ControlState, KeyUse
from schemas.records import identity
from schemas.records.records import Event
from tests.support.builders import event

KB = 1024


def sent(workspace: str, number: int, length: int = 10) -> Event:
    made_event = event("external_id:u1", event_id=f"{number:0{length}d}")
    made_event["workspace"] = workspace
    return made_event


def shares(limit: int) -> FairCache[int, bytes]:
    return FairCache(limit, lambda _key, value: len(value))


def test_a_flood_of_one_workspace_makes_no_other_forget() -> None:
    recent = EventAckCache(64 * KB)
    mine = [sent("mine", n) for n in range(30)]
    for own_event in mine:
        recent.put(own_event, "c")
    for n in range(5_000):
        recent.put(sent("flood", n, 256), "c")
    assert all(recent.get(own_event) for own_event in mine)
    assert recent.get(sent("flood", 4_999, 256))
    assert recent.get(sent("flood", 0, 256)) is None
    assert recent._first.size <= 64 * KB


def test_a_workspace_that_comes_later_gets_its_share() -> None:
    kept = shares(100)
    for n in range(200):
        kept.put("early", n, b"x")
    for n in range(200):
        kept.put("late", n, b"x")
    assert sum(kept.get("late", n) is not None for n in range(200)) >= 48
    assert sum(kept.get("early", n) is not None for n in range(200)) >= 48
    assert kept.get("early", 199)
    assert kept.get("late", 199)


@pytest.mark.parametrize("seed", range(20))
def test_whatever_is_put_and_popped_the_bound_and_the_fair_shares_hold(seed: int) -> None:
    rng, limit = random.Random(seed), 1_000
    kept, truth = shares(limit), dict[tuple[str, int], bytes]()
    for _ in range(3_000):
        owner, key = rng.choice("aaaaaabc"), rng.randrange(200)
        if rng.random() < 0.1:
            was = kept.get(owner, key)
            assert kept.pop(owner, key) == was
        else:
            value = bytes(rng.randrange(1, 30))
            before = {o: kept._sizes.get(o, 0) for o in "abc"}
            kept.put(owner, key, value)
            truth[owner, key] = value
            assert kept.get(owner, key) == value, "the newest is kept"
            share = limit // 3
            for other in set("abc") - {owner}:
                least = min(before[other], share) - 30  # an entry is forgotten whole
                assert kept._sizes.get(other, 0) >= least, "who holds less than a share forgets nothing"
        held = {(o, k): v for o in kept.owners() for k, v in kept._owned[o].items()}
        assert kept.size == sum(map(len, held.values())) <= limit
        assert all(truth[place] == value for place, value in held.items())
        assert all(kept._owned.values()), "no owner stays without entries"


def test_an_entry_over_the_bound_is_not_kept() -> None:
    kept = shares(10)
    kept.put("a", 1, bytes(11))
    assert kept.get("a", 1) is None
    assert kept.size == 0


async def test_answers_count_by_their_size_and_failures_are_not_kept() -> None:
    repeats, calls = RequestReplayCache(40 * KB), 0

    async def serve() -> Reply:
        nonlocal calls
        calls += 1
        return Reply(status=200, body=bytes(10 * KB))

    def keys(n: int) -> list[tuple[str, str, bytes]]:
        return RequestReplayCache.keys("key", "/path", None, b"%d" % n)

    for n in range(10):
        await repeats.once("w", keys(n), 60, serve)
    assert repeats._first.size <= 40 * KB
    await repeats.once("w", keys(9), 60, serve)
    assert calls == 10, "the newest is known"
    await repeats.once("w", keys(0), 60, serve)
    assert calls == 11, "the oldest is not"

    async def fail() -> Reply:
        raise ValueError("no")

    size = repeats._first.size
    with pytest.raises(ValueError, match="no"):
        await repeats.once("w", keys(50), 60, fail)
    await asyncio.sleep(0)
    assert repeats._first.size == size
    for n in range(1_000):
        repeats.name("w", keys(n), 60, None)
    assert repeats._names.size <= 40 * KB


def test_the_key_in_use_is_not_the_one_whose_rate_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.http.rate_limit.MOST_BUCKETS", 3)
    rate_limiter = RateLimiter(ControlState(), 0)

    def ask(key: str) -> bytes:
        scope: dict[str, object] = {}
        principal = Principal(key_id=key, kind="secret", workspace="w", environment="e", scopes=(), rate_limit=9)
        rate_limiter.admit(scope, {}, principal, 1)
        return dict(scope["headwater.headers"])[b"ratelimit-remaining"]  # type: ignore[call-overload,no-any-return]

    left = [ask("busy") for other in "abcde" if ask(other)]
    assert left == [b"8", b"7", b"6", b"5", b"4"]
    assert len(rate_limiter._buckets) == 3


async def test_uses_that_are_told_are_not_kept() -> None:
    rate_limiter, published = RateLimiter(ControlState(), 0), list[KeyUse]()

    async def put(_kind: str, use: KeyUse) -> None:
        published.append(use)

    uses = KeyUsageRecorder(rate_limiter, put)
    for n in range(100):
        rate_limiter.used[f"k{n}"] = ("w", n)
    await uses.tell()
    assert len(published) == 100
    assert not rate_limiter.used
    rate_limiter.used["k99"] = ("w", 2 * PAUSE_MS)
    await uses.tell()
    assert published[-1].used_ms == 2 * PAUSE_MS
    assert list(uses._told) == ["k99"]


def test_long_values_are_not_cached() -> None:
    before = [f.cache_info().currsize for f in (identity._short_contact_id, identity._short_is_nobody)]
    for n in range(100):
        value = f"{n:0512d}x"[1:]
        assert identity.normalise("external_id", value) == value
        assert identity.contact_id("w", "e", "external_id", value).startswith("cnt_")
    assert before == [f.cache_info().currsize for f in (identity._short_contact_id, identity._short_is_nobody)]
