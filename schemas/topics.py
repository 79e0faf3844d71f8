"""Settings in, the closed catalogue of Kafka topics out; nothing else names a topic; pure."""

from dataclasses import dataclass
from typing import Final

from schemas.settings import Settings
from schemas.times import DAY_MS, HOUR_MS

IDENTITY_APP: Final = "headwater-identity"
SEGMENTS_APP: Final = "headwater-segments"
CLICKHOUSE_GROUP: Final = "headwater-clickhouse"
"""Consumer group of the ClickHouse sink: committed records are stored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """A topic: its key, its records, and their retention (``None``: compacted, kept for ever)."""

    name: str
    key: str
    holds: str
    retention_ms: int | None
    partitioned: bool = True
    """False: one partition, under any settings."""


EVENTS: Final = Topic(
    name="events", key="provisional contact id", holds="accepted events as the edge saw them", retention_ms=7 * DAY_MS
)
RESOLVED: Final = Topic(
    name="resolved", key="contact id", holds="the same, with the contact they belong to", retention_ms=7 * DAY_MS
)
LINKS: Final = Topic(
    name="links",
    key="workspace/environment",
    holds="two identifiers seen together, and the event that says so",
    retention_ms=90 * DAY_MS,
)
MERGES: Final = Topic(name="merges", key="loser contact id", holds="loser -> winner, version", retention_ms=None)
ABSORBS: Final = Topic(
    name="absorbs",
    key="winner contact id",
    holds="a loser's state on its way to the winner; late events redirected",
    retention_ms=7 * DAY_MS,
)
CHANGES: Final = Topic(
    name="changes", key="contact id", holds="profile snapshots, membership changes", retention_ms=7 * DAY_MS
)
CONTROL: Final = Topic(
    name="control",
    key="workspace/kind/id",
    holds="workspaces, environments, key hashes, segments, webhooks",
    retention_ms=None,
    partitioned=False,
)
RECEIPTS: Final = Topic(name="receipts", key="edge instance", holds="what sync=true waits for", retention_ms=HOUR_MS)
DELIVERIES: Final = Topic(
    name="deliveries", key="delivery id", holds="webhook deliveries and their next attempt", retention_ms=None
)
ATTEMPTS: Final = Topic(
    name="attempts", key="delivery id", holds="what was sent to webhooks, and their answers", retention_ms=7 * DAY_MS
)
QUARANTINE: Final = Topic(
    name="quarantine",
    key="origin topic/partition/offset/index",
    holds="what could not be processed: reason, original bytes",
    retention_ms=30 * DAY_MS,
)
REFUSALS: Final = Topic(
    name="refusals",
    key="none",
    holds="some of the requests that the edge refused, for the live view",
    retention_ms=HOUR_MS,
    partitioned=False,
)
LAUNCHES: Final = Topic(
    name="launches",
    key="launch id",
    holds="attachments of trigger launches, which their messages refer to",
    retention_ms=7 * DAY_MS,
)
WEBHOOK_TESTS: Final = Topic(
    name="webhook-tests",
    key="webhook id",
    holds="messages that are to be sent to webhooks at once, for a try",
    retention_ms=HOUR_MS,
    partitioned=False,
)

# Faust names a changelog <app>-<table>-changelog; they are created here, never by Faust.
IDENTITY_MAP: Final = "map"
IDENTITY_PAIRS: Final = "pairs"
IDENTITY_SEEN: Final = "seen"
RESOLVER_GRAPH: Final = "graph"
SEGMENT_STATES: Final = "states"
TABLES: Final = {
    IDENTITY_APP: (IDENTITY_MAP, IDENTITY_PAIRS, IDENTITY_SEEN, RESOLVER_GRAPH),
    SEGMENTS_APP: (SEGMENT_STATES,),
}

DATA: Final = (
    EVENTS,
    RESOLVED,
    LINKS,
    MERGES,
    ABSORBS,
    CHANGES,
    CONTROL,
    RECEIPTS,
    DELIVERIES,
    ATTEMPTS,
    QUARANTINE,
    LAUNCHES,
    REFUSALS,
    WEBHOOK_TESTS,
)


def name(topic: Topic, settings: Settings) -> str:
    """The topic's name on the cluster."""
    return settings.topic_prefix + topic.name


def app_id(app: str, settings: Settings) -> str:
    """A Faust application's id, which is also its consumer group."""
    return settings.topic_prefix + app


def changelog(app: str, table: str, settings: Settings) -> str:
    return f"{app_id(app, settings)}-{table}-changelog"


def catalogue(settings: Settings) -> list[Topic]:
    """Every topic that must exist, by its name on the cluster, changelogs included."""
    data = [
        Topic(name=name(t, settings), key=t.key, holds=t.holds, retention_ms=t.retention_ms, partitioned=t.partitioned)
        for t in DATA
    ]
    logs = [
        Topic(name=changelog(app, table, settings), key="state key", holds=f"state of {app}/{table}", retention_ms=None)
        for app, tables in TABLES.items()
        for table in tables
    ]
    return data + logs


def customer(workspace: str, name: str, settings: Settings) -> str:
    """The topic that a workspace calls ``name``.

    ``name`` holds neither a dot nor an underscore, a slug no dot: Kafka, which takes the two for the same in names of
    topics, never takes one workspace's topic for another's or for one of ours.
    """
    return f"{settings.topic_prefix}customer.{workspace}.{name}"


def partition_count(topic: Topic, settings: Settings) -> int:
    return settings.partitions if topic.partitioned else 1
