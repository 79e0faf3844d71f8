"""The wall clock of all records and requests: epoch milliseconds."""

import time
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager


def now_ms() -> int:
    """Epoch milliseconds."""
    return time.time_ns() // 1_000_000


@contextmanager
def timing(seconds: MutableMapping[str, float], phase: str) -> Iterator[None]:
    """Add the time of the block to the phase's seconds, however the block ends."""
    began = time.perf_counter()
    try:
        yield
    finally:
        seconds[phase] += time.perf_counter() - began
