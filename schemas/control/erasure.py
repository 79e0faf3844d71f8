"""Erasures in; whether a record predates one of them, and the progress of each, out; pure.

An erasure names contacts by their own contact ids, which are hashes, and a moment. All events received of them
until then are erased: readers of every store skip them. Later events make new contacts.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from schemas.control.definitions import Erasure, ErasureStep
from schemas.records import identity

IDENTITY: Final = "identity"
SEGMENTS: Final = "segments"
CLICKHOUSE: Final = "clickhouse"
WEBHOOKS: Final = "webhooks"
EDGE: Final = "edge"
STORES: Final = (EDGE, IDENTITY, SEGMENTS, WEBHOOKS, CLICKHOUSE)
PARTITIONED: Final = frozenset({IDENTITY, SEGMENTS})
"""Stores whose partitions each report the end of an erasure themselves."""


class Erased:
    """Own contact ids, and until when everything of them is erased."""

    def __init__(self) -> None:
        self._until: dict[str, int] = {}
        self._latest_ms = 0
        """The time of the newest erasure."""
        self.added = 0
        """Erasures so far, one whose contacts became known later again."""

    def add(self, erasure: Erasure) -> None:
        self.added += 1
        self._latest_ms = max(self._latest_ms, erasure.erased_ms)
        for contact_id in erasure.contacts:
            self._until[contact_id] = max(self._until.get(contact_id, 0), erasure.erased_ms)

    def __bool__(self) -> bool:
        return bool(self._until)

    def covers(self, datum: Mapping[str, Any]) -> bool:
        """Whether the record belongs to an erased contact and predates the erasure."""
        if not self._until:
            return False
        at_ms: int = datum["received_ms"] if "received_ms" in datum else datum.get("at_ms", 0)
        if at_ms > self._latest_ms:  # later than every erasure, as nearly all records are
            return False
        return any(at_ms <= self._until.get(contact, -1) for contact in _named(datum))

    def covers_id(self, contact_id: str, at_ms: int) -> bool:
        return at_ms <= self._until.get(contact_id, -1)


def _named(datum: Mapping[str, Any]) -> Iterable[str]:
    """The own contact ids that a datum is about."""
    yield from (datum[name] for name in ("contact_id", "loser", "winner") if name in datum)
    sides = [datum[side] for side in ("a", "b") if isinstance(datum.get(side), dict)]
    sides += datum["identifiers"][:1] if "identifiers" in datum else []
    for side in sides:
        yield identity.contact_id(datum["workspace"], datum["environment"], side["type"], side["value"])


def step_of(erasure: Erasure, store: str, partition: int, now_ms: int) -> ErasureStep:
    """A store's record that it has erased everything."""
    return ErasureStep(
        id=f"{erasure.id}.{store}.{partition}",
        workspace=erasure.workspace,
        created_ms=now_ms,
        erasure=erasure.id,
        store=store,
        partition=partition,
    )


def done_ms(steps: Iterable[ErasureStep], store: str, partitions: int) -> int | None:
    """Returns when the last partition of the store finished the erasure; ``None``: not all have."""
    done = {step.partition: step.created_ms for step in steps if step.store == store}
    partitions_of = range(partitions if store in PARTITIONED else 1)
    return max(done[p] for p in partitions_of) if all(p in done for p in partitions_of) else None
