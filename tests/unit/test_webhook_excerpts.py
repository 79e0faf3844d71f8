"""What a receiver's answer asks for and what the log keeps of bodies: waits are bounded, text stays text."""

from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import pytest

from schemas.records.deliveries import PENDING
from sinks.delivery.backoff import WAITS_MS, AttemptOutcome, after, asked_wait_ms
from sinks.delivery.excerpt import CUT, excerpt
from tests.support.builders import NOW_MS


@pytest.mark.parametrize(
    ("retry_after", "wait_ms"),
    [
        ("120", 120_000),
        (" 0 ", 0),
        (format_datetime(datetime.fromtimestamp(NOW_MS / 1000 + 120, UTC), usegmt=True), 120_000),
        (format_datetime(datetime.fromtimestamp(NOW_MS / 1000 - 120, UTC), usegmt=True), 0),
        ("-1", 0),
        ("soon", 0),
        ("", 0),
        ("1.5", 0),
        ("\u00b2", 0),
        ("Fri, 99 Nov 2026 99:00:00 GMT", 0),
    ],
)
def test_the_wait_that_is_asked_for(retry_after: str, wait_ms: int) -> None:
    assert asked_wait_ms(retry_after, NOW_MS) == wait_ms


@pytest.mark.parametrize("digits", [9, 30, 5000])
def test_an_absurd_wait_is_the_longest_of_the_schedule(digits: int) -> None:
    outcome = AttemptOutcome(code=429, error="", duration_ms=1, retry_after_ms=asked_wait_ms("9" * digits, NOW_MS))
    new = after(_delivery(), outcome, NOW_MS)
    assert new["due_ms"] - NOW_MS == WAITS_MS[-1]


def test_the_schedule_is_the_least_wait() -> None:
    plain = after(_delivery(), AttemptOutcome(code=503, error="", duration_ms=1), NOW_MS)
    delayed = after(_delivery(), AttemptOutcome(code=503, error="", duration_ms=1, retry_after_ms=1), NOW_MS)
    assert delayed["due_ms"] == plain["due_ms"] > NOW_MS


def _delivery() -> Any:
    return {"id": "dlv_1", "status": PENDING, "attempts": 0, "due_ms": NOW_MS, "updated_ms": NOW_MS}


@pytest.mark.parametrize(
    ("data", "most", "text"),
    [
        (b"caf\xe9", 10, "caf\ufffd"),
        (b"abc", 3, "abc"),
        (b"abcdefg", 6, "abc" + CUT),
        ("\u00e9\u00e9\u00e9\u00e9".encode(), 6, "\u00e9" + CUT),
        ("x\u00e9\u00e9\u00e9".encode(), 6, "x\u00e9" + CUT),
        ("\U0001f600\U0001f600\U0001f600".encode(), 10, "\U0001f600" + CUT),
        (b"\x80" * 9, 5, None),
        (b"", 0, ""),
    ],
    ids=repr,
)
def test_the_log_cuts_between_characters_and_says_so(data: bytes, most: int, text: str | None) -> None:
    result = excerpt(data, most).decode()
    assert text is None or result == text
