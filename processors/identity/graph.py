"""Links between identifiers in; contacts as components with their evidence and their one id out; pure.

``join`` is a union of sets and minima of positions: commutative, associative and idempotent. So without a refusal the
order, repetition and batching of links change nothing. With a refusal, the log's order decides
(``processors/identity/guard.py``). The graph keeps retractions as facts too, so retracted evidence stays retracted,
whether it comes before its retraction, after it or again.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import orjson

from schemas.records import identity
from schemas.records.records import ALIAS

UNSEEN: Final = 1 << 62
"""The place in the log of an identifier that no record has named yet."""
EARLIER: Final = 1 << 12
"""Added to the position of a second external id of an event: later than all events of the record, so that it never
gives the contact its id before the first one."""
Pair = tuple[str, str]
"""The own contact ids of two identifiers, the smaller one first."""

MAX_EVIDENCE: Final = 8
"""The most evidence kept for a pair: the earliest events."""
MAX_REFUSED: Final = 200


class Member(NamedTuple):
    """An identifier; ``position`` is where the log of links first named it.

    ``claimed`` is where an identify or contact call first named it as its sender. A claimed id is a user id, not an id
    that an SDK made up for a stranger.
    """

    type: str
    value: str
    position: int
    claimed: int = UNSEEN

    def strength(self, node: str) -> tuple[bool, int, int, str]:
        """The smallest wins: known before anonymous, then first in the log, then the stronger type."""
        return (not identity.is_known(self.type), self.position, identity.rank(self.type), node)

    def __or__(self, other: "Member") -> "Member":
        """Keeps the earlier of each position."""
        return Member(self.type, self.value, min(self.position, other.position), min(self.claimed, other.claimed))


@dataclass(frozen=True, slots=True, order=True)
class Evidence:
    """An event that named two identifiers of one sender; ``place`` is its position in the log of links."""

    at_ms: int
    event_id: str
    kind: str
    place: int = field(default=0, compare=False)
    explicit: bool = field(default=False, compare=False)
    keeper: str = field(default="", compare=False)
    """If the event names an earlier id of its sender: the identifier that the earlier id joins."""


@dataclass(frozen=True, slots=True, order=True)
class Refusal:
    """A refused link; ``type`` and ``value`` name the far identifier."""

    at_ms: int
    event_id: str
    near: str
    type: str
    value: str
    reason: str
    place: int = field(default=0, compare=False)
    explicit: bool = field(default=False, compare=False)
    keeper: str = field(default="", compare=False)


SEPARATED: Final = "split"
"""Why a link is refused whose pair a split took apart."""
MAX_MARKERS: Final = 16
"""The most times of splits, and of lifts, kept for a pair: the newest."""


@dataclass(frozen=True, slots=True)
class Retraction:
    """The retracted evidence of a pair: these events, and all until ``before_ms``.

    A split lasts. Evidence after a split (``splits``, epoch ms) counts again after the separation is lifted
    (``lifts``), or if it is an explicit call. The newest marker before a piece of evidence decides, so the order in
    which markers arrive does not matter.
    """

    events: frozenset[str] = frozenset()
    before_ms: int = 0
    splits: frozenset[int] = frozenset()
    lifts: frozenset[int] = frozenset()

    def covers(self, at_ms: int, event_id: str, *, explicit: bool) -> bool:
        """Whether the retraction excludes a piece of evidence now."""
        return self.takes_back(at_ms, event_id) or (not explicit and self.separates(at_ms))

    def takes_back(self, at_ms: int, event_id: str) -> bool:
        """Whether the retraction excludes a piece of evidence for ever."""
        return at_ms <= self.before_ms or event_id in self.events

    def separates(self, at_ms: int) -> bool:
        """Whether a split separated the pair at a moment."""
        split = max((t for t in self.splits if t < at_ms), default=-1)
        return split > max((t for t in self.lifts if t < at_ms), default=-1)

    def __or__(self, other: "Retraction") -> "Retraction":
        return Retraction(
            self.events | other.events,
            max(self.before_ms, other.before_ms),
            _newest(self.splits | other.splits),
            _newest(self.lifts | other.lifts),
        )


def _newest(times: frozenset[int]) -> frozenset[int]:
    return times if len(times) <= MAX_MARKERS else frozenset(sorted(times)[-MAX_MARKERS:])


NOTHING: Final = Retraction()


@dataclass(slots=True)
class Component:
    """The identifiers of one contact by their own contact ids, and the evidence that joins them."""

    id: str
    members: dict[str, Member] = field(default_factory=dict)
    edges: dict[Pair, set[Evidence]] = field(default_factory=dict)
    refused: set[Refusal] = field(default_factory=set)
    retracted: dict[Pair, Retraction] = field(default_factory=dict)
    """Retractions of all pairs with a member of this component."""
    into: str = ""
    """The component that this one became part of; its content is kept, so a half-written union can be completed."""
    parts: dict[str, str] = field(default_factory=dict)
    """Where a split put each member; the content is kept here too, so a half-written split can be completed."""

    @property
    def winner(self) -> str:
        """The contact id that all members resolve to; a function of the members alone."""
        if len(self.members) == 1:
            return next(iter(self.members))
        return min(self.members, key=lambda node: self.members[node].strength(node))

    def is_claimed(self, place: int) -> bool:
        """Whether a call claimed one of these external ids before a place in the log: such a person is identified."""
        return any(m.claimed < place for m in self.members.values() if m.type == identity.EXTERNAL_ID)

    def types(self) -> set[str]:
        return {member.type for member in self.members.values()}

    def counts(self) -> Counter[str]:
        return Counter(member.type for member in self.members.values())

    def add_edge(self, a: str, b: str, evidence: Evidence) -> None:
        event_ids = self.edges.setdefault(pair_of(a, b), set())
        event_ids.add(evidence)
        _trim(event_ids, MAX_EVIDENCE)

    def retract(self, pair: Pair, retraction: Retraction) -> bool:
        """Adds a retraction and removes the evidence that it covers; returns whether any was removed."""
        self.retracted[pair] = retraction = self.retracted.get(pair, NOTHING) | retraction
        gone = {e for e in self.edges.get(pair, ()) if retraction.covers(e.at_ms, e.event_id, explicit=e.explicit)}
        if gone:
            self._set_aside(pair, {e for e in gone if not retraction.takes_back(e.at_ms, e.event_id)})
            self.edges[pair] -= gone
            if not self.edges[pair]:
                del self.edges[pair]
        return bool(gone)

    def _set_aside(self, pair: Pair, evidence: set[Evidence]) -> None:
        """Keeps evidence that only a separation excludes: a later lift may let it count."""
        for near, far in (pair, pair[::-1]):
            member = self.members.get(far)
            if member is not None:
                for e in evidence:
                    self.refuse(refusal_of(e, near, member.type, member.value, SEPARATED))

    def part(self, into: str) -> "Component":
        """Returns the content of one part of a split."""
        nodes = {node for node, home in self.parts.items() if home == into}
        return self.only(into, nodes)

    def only(self, name: str, nodes: "set[str] | frozenset[str]") -> "Component":
        """Returns the facts of some members, as a component of their own."""
        return Component(
            id=name,
            members={n: m for n, m in self.members.items() if n in nodes},
            edges={pair: set(e) for pair, e in self.edges.items() if nodes.issuperset(pair)},
            refused={r for r in self.refused if r.near in nodes},
            retracted={pair: r for pair, r in self.retracted.items() if not nodes.isdisjoint(pair)},
        )

    def refuse(self, refusal: Refusal) -> None:
        self.refused.add(refusal)
        _trim(self.refused, MAX_REFUSED)


def refusal_of(e: Evidence, near: str, kind: str, value: str, reason: str) -> Refusal:
    """The record of this refused evidence that the identifier ``near`` keeps."""
    return Refusal(e.at_ms, e.event_id, near, kind, value, reason, e.place, e.explicit, e.keeper)


def pair_of(a: str, b: str) -> Pair:
    return (min(a, b), max(a, b))


def _trim(items: set[Any], most: int) -> None:
    """Keeps the smallest: a function of the set, not of the order of insertion."""
    while len(items) > most:
        items.remove(max(items))


def join(a: Component, b: Component) -> Component:
    """Joins both components into ``a``. The order of facts does not matter."""
    for node, member in b.members.items():
        current = a.members.get(node)
        a.members[node] = member if current is None else current | member
    for pair, evidence in b.edges.items():
        known_evidence = a.edges.setdefault(pair, set())
        known_evidence |= evidence
        _trim(known_evidence, MAX_EVIDENCE)
    a.refused |= b.refused
    _trim(a.refused, MAX_REFUSED)
    for pair, retraction in b.retracted.items():
        # after a crash, one side may hold it and the other side not yet
        a.retract(pair, retraction)
    for pair, retraction in a.retracted.items():
        a.retract(pair, retraction)
    return a


def losers(before: Component, after_winner: str) -> Iterator[str]:
    """Members whose surviving id changes from ``before.winner`` to ``after_winner``."""
    if before.winner != after_winner:
        yield from (node for node in before.members if node != after_winner)


def dump(component: Component) -> bytes:
    row: dict[str, Any] = {
        "id": component.id,
        "members": {n: _member(m) for n, m in component.members.items()},
        "edges": [
            [a, b, [[e.at_ms, e.event_id, e.kind, e.place, e.explicit, e.keeper] for e in sorted(evidence)]]
            for (a, b), evidence in component.edges.items()
        ],
        "refused": [
            [r.at_ms, r.event_id, r.near, r.type, r.value, r.reason, r.place, r.explicit, r.keeper]
            for r in sorted(component.refused)
        ],
        "into": component.into,
    }
    if component.retracted:
        row["retracted"] = [
            [a, b, sorted(r.events), r.before_ms, sorted(r.splits), sorted(r.lifts)]
            for (a, b), r in component.retracted.items()
        ]
    if component.parts:
        row["parts"] = component.parts
    return orjson.dumps(row)


def load(row: bytes) -> Component:
    value = orjson.loads(row)
    return Component(
        id=value["id"],
        members={n: Member(*m) for n, m in value["members"].items()},
        edges={(a, b): {_evidence(*e) for e in evidence} for a, b, evidence in value["edges"]},
        refused={Refusal(*r) for r in value["refused"]},
        retracted={(a, b): _retraction(*retraction) for a, b, *retraction in value.get("retracted", ())},
        into=value["into"],
        parts=value.get("parts", {}),
    )


def _member(m: Member) -> list[Any]:
    return [m.type, m.value, m.position] if m.claimed == UNSEEN else [m.type, m.value, m.position, m.claimed]


def _evidence(at_ms: int, event_id: str, kind: str, place: int = 0, *rest: Any) -> Evidence:
    """Decodes evidence. Rows older than splits have no place, and mark an alias by its kind."""
    return Evidence(at_ms, event_id, kind, place, *(rest or (kind == ALIAS,)))


def _retraction(events: list[str], before_ms: int, splits: Iterable[int] = (), lifts: Iterable[int] = ()) -> Retraction:
    """Decodes a retraction. Rows older than lasting splits have no times of splits."""
    return Retraction(frozenset(events), before_ms, frozenset(splits), frozenset(lifts))
