"""Successes and failures of an endpoint in; how many requests it may have at a time out; pure.

1. An endpoint that failed last gets few requests at a time, so that one that hangs does not fill up with them.
2. After ``OPENS_AFTER`` failures in a row it gets none for a while; then a single one, the probe. If that fails too,
   the pause doubles. Deliveries due meanwhile wait, and use up no attempt.
"""

OPENS_AFTER = 20
PAUSES_MS = (5_000, 60_000)
HEALTHY, FAILING = 64, 8


class Breaker:
    __slots__ = ("_pause_ms", "failures", "opens_ms")

    def __init__(self) -> None:
        self.failures = 0
        """The number of consecutive failures."""
        self._pause_ms = PAUSES_MS[0]
        self.opens_ms = 0
        """When the next request may be sent; in the past: now."""

    @property
    def is_open(self) -> bool:
        return self.failures >= OPENS_AFTER

    def room(self, now_ms: int) -> int:
        """Requests that may be under way at the same time."""
        if not self.failures:
            return HEALTHY
        if not self.is_open:
            return FAILING
        return int(now_ms >= self.opens_ms)

    def succeeded(self) -> None:
        self.failures = 0
        self._pause_ms, self.opens_ms = PAUSES_MS[0], 0

    def failed(self, now_ms: int) -> None:
        """Answers to requests that were under way when it opened do not make the pause longer."""
        self.failures += 1
        if self.is_open and now_ms >= self.opens_ms:
            self.opens_ms = now_ms + self._pause_ms
            self._pause_ms = min(self._pause_ms * 2, PAUSES_MS[1])
