"""Occurrences in a process in; plain counters, cheap to keep and read only on request, out; pure."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.4, 0.5, 0.75, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds of a duration's buckets: close together around the half second that is promised."""


class Histogram:
    """How many values lie in each bucket, and their sum."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float] = SECONDS) -> None:
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(self.bounds) + 1)
        """The last one has no bound."""
        self.sum = 0.0

    def observe(self, value: float, times: int = 1) -> None:
        self.counts[bisect_left(self.bounds, value)] += times
        self.sum += value * times

    def cumulated(self) -> list[tuple[str, float]]:
        """Each bound as text, and how many values are not above it; the last bound is ``+Inf``."""
        total, buckets = 0, []
        for bound, count in zip((*map(str, self.bounds), "+Inf"), self.counts, strict=True):
            total += count
            buckets.append((bound, float(total)))
        return buckets


@dataclass(slots=True)
class RequestCounts:
    """Counts of one dialect at one edge since its start; codes as in ``schemas/errors.py``."""

    accepted: int = 0
    """Requests that were accepted."""
    events: int = 0
    """Events that were acknowledged."""
    refused: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    """Requests by the code of their refusal."""
    refused_events: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    """Events that were refused in a request that was accepted, by code."""


@dataclass(slots=True)
class StageCounts:
    """Counts of a worker or a sink since its start."""

    records: defaultdict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))
    """By topic and outcome: ``done`` or ``quarantined``."""
    latency: defaultdict[str, Histogram] = field(default_factory=lambda: defaultdict(Histogram))
    """Seconds from a record's timestamp until it is done, by topic."""
    seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    """By activity, one of the phases of the catalogue."""
    event_age: Histogram = field(default_factory=Histogram)
    """From the receipt of an event until this process has made its part durable."""


@dataclass(slots=True)
class SinkCounts(StageCounts):
    """Counts of a sink since its start."""

    rows: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    """Stored rows, by table."""
    inserts: defaultdict[str, Histogram] = field(default_factory=lambda: defaultdict(Histogram))
    """Seconds of successful inserts, by table."""
    errors: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    """Failed calls, by kind of error."""


@dataclass(slots=True)
class WebhookCounts:
    """Counts of a sender of webhooks since its start."""

    attempts: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    """Attempts, by the class of their outcome."""
    deliveries: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    """Ended deliveries, by status."""
    seconds: Histogram = field(default_factory=Histogram)
    """Seconds of the requests to endpoints."""
    event_age: Histogram = field(default_factory=Histogram)
    """Seconds from a message's cause until its endpoint accepted the first attempt."""
