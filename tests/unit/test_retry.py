"""The retry loop: which failures it survives, what it reports, and how its pauses grow."""

import asyncio
from collections.abc import Iterator

import pytest

from schemas.retry import Backoff, repeated, retried


class Calls:
    """Fails as its script says (``None``: succeeds), and keeps what was reported."""

    def __init__(self, *script: Exception | None) -> None:
        self._script: Iterator[Exception | None] = iter(script)
        self.made = 0
        self.pauses: list[float] = []

    async def call(self) -> int:
        self.made += 1
        if (error := next(self._script)) is not None:
            raise error
        return self.made

    def report(self, error: Exception, pause_s: float) -> None:
        assert isinstance(error, OSError)
        self.pauses.append(pause_s)


async def test_the_result_is_that_of_the_first_call_that_succeeds() -> None:
    calls = Calls(OSError(), ConnectionError(), OSError(), None)
    assert await retried(calls.call, OSError, calls.report, 0.001, 0.002) == 4
    assert calls.pauses == [0.001, 0.002, 0.002]


async def test_other_failures_are_raised_at_once() -> None:
    calls = Calls(OSError(), ValueError("a bug"), None)
    with pytest.raises(ValueError, match="a bug"):
        await retried(calls.call, OSError, calls.report, 0)
    assert calls.made == 2


async def test_a_report_may_end_the_loop() -> None:
    def report(error: Exception, _pause_s: float) -> None:
        raise RuntimeError("given up") from error

    with pytest.raises(RuntimeError, match="given up"):
        await retried(Calls(OSError()).call, OSError, report, 0)


async def test_a_success_resets_the_pauses_of_a_repeated_call() -> None:
    calls = Calls(OSError(), OSError(), None, OSError(), None)
    with pytest.raises(RuntimeError, match="StopIteration"):  # the script's end
        await repeated(calls.call, 0, OSError, calls.report, retry_s=(0.001, 0.1))
    assert calls.pauses == [0.001, 0.002, 0.001]


async def test_the_first_call_may_come_after_a_pause() -> None:
    calls = Calls(None)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(repeated(calls.call, 600, OSError, calls.report, at_once=False), 0.05)
    assert calls.made == 0


async def test_pauses_are_equal_without_a_longest_one() -> None:
    backoff = Backoff(0.001)
    for _ in range(3):
        await backoff.pause()
        assert backoff.next_s == 0.001
