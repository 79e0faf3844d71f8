"""A call that may fail in; its result, once it succeeds, out: the retry loop of every process."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import NoReturn, TypeVar

T = TypeVar("T")
Errors = type[Exception] | tuple[type[Exception], ...]
"""Failures that a later call may not have; any other exception is raised at once."""
Report = Callable[[Exception, float], None]
"""Receives a failure and the seconds until the next call."""


class Backoff:
    """Pauses that double from ``first_s`` to ``longest_s`` seconds; without ``longest_s`` all are equal."""

    def __init__(self, first_s: float, longest_s: float | None = None) -> None:
        self._first_s = first_s
        self._longest_s = first_s if longest_s is None else longest_s
        self.next_s = first_s

    async def pause(self) -> None:
        await asyncio.sleep(self.next_s)
        self.next_s = min(self.next_s * 2, self._longest_s)

    def reset(self) -> None:
        """Call after a success: the next pause is the first one again."""
        self.next_s = self._first_s


async def retried(
    call: Callable[[], Awaitable[T]], errors: Errors, report: Report, first_s: float, longest_s: float | None = None
) -> T:
    """The result of the first call that raises none of ``errors``; tries for ever."""
    backoff = Backoff(first_s, longest_s)
    while True:
        try:
            return await call()
        except errors as error:
            report(error, backoff.next_s)
        await backoff.pause()


async def repeated(
    call: Callable[[], Awaitable[object]],
    every_s: float,
    errors: Errors,
    report: Report,
    *,
    retry_s: tuple[float, float] | None = None,
    at_once: bool = True,
) -> NoReturn:
    """Repeats a call for ever, with ``every_s`` seconds between two calls; ``at_once``: without a pause at first.

    After a failure it pauses as ``Backoff(*retry_s)`` does, or for ``every_s`` without ``retry_s``.
    """
    backoff = Backoff(*(retry_s or (every_s,)))
    if not at_once:
        await asyncio.sleep(every_s)
    while True:
        try:
            await call()
        except errors as error:
            report(error, backoff.next_s)
            await backoff.pause()
        else:
            backoff.reset()
            await asyncio.sleep(every_s)
