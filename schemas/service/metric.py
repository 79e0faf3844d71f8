"""The description of a metric, the closed sets of label values, and quarantine's own metrics; pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from schemas import topics

COUNTER, GAUGE, HISTOGRAM = "counter", "gauge", "histogram"

EVERY, STACK, EDGE, READER, WORKER, SINK, WEBHOOKS, PIPELINE = (
    "every process",
    "the edge of a local stack",
    "edge",
    "workers and sink",
    "workers",
    "sink",
    "webhooks",
    "workers, sink and webhooks",
)
"""Which processes have a metric."""

DIALECTS = ("altacee", "altcraft", "altertable", "parcelvoy", "posthog", "segment")
"""``altacee`` is the native API."""
OUTCOMES = {401: "unauthorized", 403: "unauthorized", 429: "limited", 500: "failed", 503: "unavailable"}
"""Outcomes of refused requests, by status; other statuses mean ``refused``."""
REQUEST_OUTCOMES = ("accepted", "refused", "unauthorized", "limited", "unavailable", "failed")
STAGES = ("identity", "segments", "clickhouse")
READ_TOPICS = tuple(
    topic.name
    for topic in (
        *(topics.EVENTS, topics.LINKS, topics.MERGES, topics.RESOLVED, topics.ABSORBS),
        *(topics.CHANGES, topics.ATTEMPTS, topics.QUARANTINE),
    )
)
TABLES = (
    *("consent_changes", "contact_overrides", "contacts", "delivery_attempts", "duplicates", "events"),
    *("event_outcomes", "links", "membership_changes", "quarantine", "refused_links", "retracted_links"),
)
PHASES = ("poll", "decide", "publish", "state", "commit", "wait")
"""Asking Kafka for records, the stage's own code, sending outputs, keeping state (changelogs and the store, or rows in
ClickHouse), committing offsets, and waiting for records or for the pace of units."""
MOMENTS = ("resolved", "member", "stored", "delivered")
MOMENT_OF = dict(zip(STAGES, MOMENTS, strict=False))
"""The outcomes of an event at a stage."""
ATTEMPTS = ("2xx", "3xx", "4xx", "5xx", "no_answer", "expired")
"""Outcomes of a webhook's request; ``expired``: it was not sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """``labels`` are its own, each with all the values that it may have."""

    name: str
    kind: str
    of: str
    meaning: str
    remedy: str
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


QUARANTINE_METRICS = (
    Metric(
        name="headwater_quarantine_open_records",
        kind=GAUGE,
        of=SINK,
        meaning="Records in quarantine that were neither replayed nor discarded; one of several sinks says so.",
        remedy="`headwater quarantine list --by-reason`; replay what a release has mended, discard the rest.",
    ),
    Metric(
        name="headwater_quarantine_open_oldest_seconds",
        kind=GAUGE,
        of=SINK,
        meaning="Age of the oldest of them; 0: there is none. They are kept for 30 days.",
        remedy="Replay or discard it before it expires: `headwater quarantine replay --all --dry-run`.",
    ),
)
