"""A key's rate and a page's leave, by the clock that is given."""

from typing import Any

import pytest

from ingest.http.rate_limit import RateLimiter
from schemas.control.access import Principal
from schemas.control.control_state import ControlState, Workspace, encode
from schemas.errors import ApiError
from schemas.service.web import EXTRA_HEADERS

NOW_MS = 1_790_000_000_000
KEY = Principal(key_id="k", kind="secret", workspace="w", environment="e", scopes=(), rate_limit=4)


def gate_of(*origins: str, rate_limit: int = 0) -> RateLimiter:
    state = ControlState()
    workspace = Workspace(id="w", workspace="w", created_ms=NOW_MS, name="W", allowed_origins=origins)
    state.apply(*encode("workspace", workspace))
    return RateLimiter(state, rate_limit)


def passes(rate_limiter: RateLimiter, now_ms: int, principal: Principal = KEY, **headers: bytes) -> dict[bytes, bytes]:
    scope: dict[str, Any] = {}
    rate_limiter.admit(scope, {name.encode(): value for name, value in headers.items()}, principal, now_ms)
    return dict(scope.get(EXTRA_HEADERS, ()))


def is_let_in(rate_limiter: RateLimiter, now_ms: int) -> bool:
    try:
        passes(rate_limiter, now_ms)
    except ApiError as refused:
        assert refused.status == 429
        return False
    return True


def test_a_second_worth_at_once_then_the_rate() -> None:
    rate_limiter = gate_of()
    assert [is_let_in(rate_limiter, NOW_MS) for _ in range(6)] == [True] * 4 + [False] * 2
    assert not is_let_in(rate_limiter, NOW_MS + 249)
    assert is_let_in(rate_limiter, NOW_MS + 250)
    assert not is_let_in(rate_limiter, NOW_MS + 251)
    assert [is_let_in(rate_limiter, NOW_MS + 60_000) for _ in range(5)] == [True] * 4 + [False]


def test_asking_all_the_time_still_gets_the_rate() -> None:
    rate_limiter = gate_of()
    assert sum(is_let_in(rate_limiter, NOW_MS + ms) for ms in range(10_000)) == 4 + 39


def test_a_clock_that_goes_back_gives_nothing_away() -> None:
    rate_limiter = gate_of()
    assert [is_let_in(rate_limiter, NOW_MS - n) for n in range(5)] == [True] * 4 + [False]


def test_a_key_without_a_rate_has_the_settings() -> None:
    free = KEY._replace(rate_limit=None)
    assert passes(gate_of(), NOW_MS, free) == {}
    limited = passes(gate_of(rate_limit=2), NOW_MS, free)
    assert limited == {b"ratelimit-limit": b"2", b"ratelimit-remaining": b"1", b"ratelimit-reset": b"1"}


def test_keys_do_not_hold_each_other_up() -> None:
    rate_limiter = gate_of()
    for _ in range(4):
        passes(rate_limiter, NOW_MS)
    assert passes(rate_limiter, NOW_MS, KEY._replace(key_id="other"))
    assert rate_limiter.used == {"k": ("w", NOW_MS), "other": ("w", NOW_MS)}


PUBLIC = KEY._replace(kind="public", rate_limit=None)


@pytest.mark.parametrize("origins", [("*",), ("https://a.org", "https://b.org")])
def test_a_page_that_is_named(origins: tuple[str, ...]) -> None:
    assert passes(gate_of(*origins), NOW_MS, PUBLIC, origin=b"https://b.org") == {}


@pytest.mark.parametrize("origin", [b"https://c.org", b"http://b.org", b"https://b.org.evil.com", b"null", b"\xff"])
def test_a_page_that_is_not(origin: bytes) -> None:
    with pytest.raises(ApiError) as refused:
        passes(gate_of("https://b.org"), NOW_MS, PUBLIC, origin=origin)
    assert (refused.value.status, refused.value.param) == (403, "Origin")
