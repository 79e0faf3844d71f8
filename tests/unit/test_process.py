"""What a library repeats is written a few times; what we say is always written."""

import logging

import pytest

from schemas.service import process


def record(name: str, message: str, *args: object) -> logging.LogRecord:
    return logging.LogRecord(name, logging.ERROR, "file", 1, message, args, None)


def test_a_library_that_repeats_itself_is_cut_short(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr("schemas.service.process.time.monotonic", lambda: clock[0])
    throttle = process.Throttle()
    written = [throttle.filter(record("aiokafka.consumer", "no node %s", n)) for n in range(50)]
    assert sum(written) == process.BURST
    assert throttle.filter(record("aiokafka.consumer", "something else"))
    clock[0] += process.WINDOW_S
    late = record("aiokafka.consumer", "no node %s", 7)
    assert throttle.filter(late)
    assert late.getMessage() == f"no node 7 ({50 - process.BURST} more like this were left out)"


def test_our_own_words_are_never_cut() -> None:
    throttle = process.Throttle()
    assert all(throttle.filter(record("ingest.events.endpoint", "again")) for _ in range(50))
