"""A condition in; its first true answer, or an error that names it, out: tests wait for conditions, never for time."""

import asyncio
import inspect
import time
from collections.abc import Callable
from typing import Any

WITHIN_S = 30.0


async def eventually(
    ask: Callable[[], Any],
    what: str,
    within_s: float = WITHIN_S,
    *,
    meets: Callable[[Any], Any] = bool,
    every_s: float = 0.02,
) -> Any:
    """Returns the first result of the function or coroutine function ``ask`` that meets the condition.

    Raises ``TimeoutError`` with ``what`` and the last result.
    """
    deadline = time.monotonic() + within_s
    while True:
        answer = ask()
        if inspect.isawaitable(answer):
            answer = await answer
        if meets(answer):
            return answer
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {within_s:g} s, but {answer!r:.1000}")
        await asyncio.sleep(every_s)


def wait_until(
    ask: Callable[[], Any],
    what: str,
    within_s: float = WITHIN_S,
    *,
    meets: Callable[[Any], Any] = bool,
    every_s: float = 0.02,
) -> Any:
    """Does the same as ``eventually`` without an event loop."""
    deadline = time.monotonic() + within_s
    while not meets(answer := ask()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {within_s:g} s, but {answer!r:.1000}")
        time.sleep(every_s)
    return answer
