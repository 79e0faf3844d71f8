"""A record in quarantine in; the target of its replay, or the reason why it is not replayed, out; pure.

A replay goes to the topic and partition where the record stood, as a record of its own, to be read by the stage
that failed on it. Other stages recognise it by the ids in it: one that had it before takes it for a repeat.
"""

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

from schemas import topics
from schemas.control.erasure import Erased
from schemas.control.quarantine_jobs import QuarantineId
from schemas.records import codec, tenancy
from schemas.records.quarantine import MAX_PAYLOAD

MOST_REPLAYS = 3
"""The most replays of the same data: after so many failures a further replay would fail too."""
DECODERS: Mapping[str, Callable[[bytes], list[Any]]] = {
    topics.EVENTS.name: codec.decode_events,
    topics.RESOLVED.name: codec.decode_events,
    topics.LINKS.name: codec.decode_links,
    topics.ABSORBS.name: lambda value: [codec.decode_absorb(value)],
    topics.CHANGES.name: codec.decode_changes,
    topics.ATTEMPTS.name: codec.decode_attempts,
}
"""Topics that a record can go back to. Not a compacted one: an old record would take the place of its newest."""
_COMPACTED = frozenset(topic.name for topic in topics.DATA if topic.retention_ms is None)
REPLAY = "replay"
READS = {topics.EVENTS.name: "identity", topics.LINKS.name: "identity"}
BY_SINK = frozenset({"undecodable", "unstorable"})


class QuarantineEntry(NamedTuple):
    """``key`` and ``payload`` are the record's own; ``replays``: how often its data were replayed before."""

    id: QuarantineId
    workspace: str
    key: bytes
    payload: bytes
    replays: int = 0
    outcome: str = ""


class ReplayVerdict(NamedTuple):
    """``code`` is ``replay``, or tells why not; ``message`` says it in words."""

    code: str
    message: str = ""

    @property
    def replays(self) -> bool:
        return self.code == REPLAY

    @property
    def action(self) -> Literal["replay", "refuse"]:
        return "replay" if self.replays else "refuse"


def is_cut(payload_bytes: int) -> bool:
    """Whether a payload of this length was cut."""
    return payload_bytes >= MAX_PAYLOAD


def stage_of(topic: str, reason: str) -> str:
    """The stage that put a record into quarantine."""
    if reason in BY_SINK:
        return "clickhouse"
    if topic == topics.MERGES.name:
        return "identity, segments"
    return READS.get(topic, "segments")


def judge(entry: QuarantineEntry, erased: Erased, partitions: int) -> ReplayVerdict:
    """The present outcome of a replay."""
    topic, partition = entry.id[0], entry.id[1]
    if entry.outcome in ("replayed", "discarded"):
        return ReplayVerdict(f"already_{entry.outcome}", f"it was {entry.outcome} before")
    if is_cut(len(entry.payload)):
        return ReplayVerdict("cut", f"only its first {MAX_PAYLOAD} bytes were kept")
    if topic in _COMPACTED:
        return ReplayVerdict(
            "compacted_topic", f"{topic} keeps the newest record of a key alone: an old one would replace it"
        )
    decode = DECODERS.get(topic)
    if decode is None or not 0 <= partition < partitions:
        return ReplayVerdict("no_such_place", f"there is no topic {topic} with a partition {partition}")
    if entry.replays >= MOST_REPLAYS:
        return ReplayVerdict("replayed_too_often", f"it was replayed {entry.replays} times and failed each time")
    try:
        data = decode(entry.payload)
    except codec.UndecodableError as error:
        return ReplayVerdict("undecodable", str(error)[:300])
    return _judge_data(topic, data, erased)


def _judge_data(topic: str, data: list[Any], erased: Erased) -> ReplayVerdict:
    own = data if topic == topics.ATTEMPTS.name else [datum for datum in data if not tenancy.is_foreign(datum)]
    if not own:
        return ReplayVerdict("foreign_contact", "it names a contact of another workspace or environment")
    if all(erased.covers(datum) for datum in own):
        return ReplayVerdict("erased", "its contact was erased since")
    return ReplayVerdict(REPLAY)
