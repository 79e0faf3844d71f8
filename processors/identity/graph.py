"""Identifiers seen together in, contacts out: components with their evidence and the one id each goes by; pure.

``join`` is a union of sets and minima of positions: commutative, associative and idempotent. So without a
refusal the order, repetition and batching of links change nothing. With one, the log's order decides
(``processors/identity/guard.py``).
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson

from schemas import identity

MAX_EVIDENCE = 8
"""Kept for each pair: the earliest ones."""
MAX_REFUSED = 200


@dataclass(frozen=True, slots=True)
class Member:
    """An identifier; ``position`` is where the log of links first named it."""

    type: str
    value: str
    position: int

    def strength(self, node: str) -> tuple[bool, int, int, str]:
        """Smallest wins: known before anonymous, then first in the log, then the stronger type."""
        return (not identity.is_known(self.type), self.position, identity.rank(self.type), node)


@dataclass(frozen=True, slots=True, order=True)
class Evidence:
    """An event that named two identifiers of one sender."""

    at_ms: int
    event_id: str
    kind: str


@dataclass(frozen=True, slots=True, order=True)
class Refusal:
    """A link that a guard did not let through; ``node`` is the identifier on the far side."""

    at_ms: int
    event_id: str
    near: str
    type: str
    value: str
    reason: str


@dataclass(slots=True)
class Component:
    """The identifiers of one contact by their own contact ids, and why they belong together."""

    id: str
    members: dict[str, Member] = field(default_factory=dict)
    edges: dict[tuple[str, str], set[Evidence]] = field(default_factory=dict)
    refused: set[Refusal] = field(default_factory=set)
    into: str = ""
    """The component that this one became part of; what it held is kept, so a half-written union heals."""

    @property
    def winner(self) -> str:
        """The contact id that all members resolve to; a function of the members alone."""
        return min(self.members, key=lambda node: self.members[node].strength(node))

    def counts(self) -> Counter[str]:
        return Counter(member.type for member in self.members.values())

    def add_edge(self, a: str, b: str, evidence: Evidence) -> None:
        known = self.edges.setdefault((min(a, b), max(a, b)), set())
        known.add(evidence)
        _trim(known, MAX_EVIDENCE)

    def refuse(self, refusal: Refusal) -> None:
        self.refused.add(refusal)
        _trim(self.refused, MAX_REFUSED)


def _trim(items: set[Any], most: int) -> None:
    """Keep the smallest: a function of the set, not of the order it was filled in."""
    while len(items) > most:
        items.remove(max(items))


def join(a: Component, b: Component) -> Component:
    """One component of both, in ``a``'s place. Order of facts does not matter."""
    for node, member in b.members.items():
        known = a.members.get(node)
        if known is None or member.position < known.position:
            a.members[node] = member
    for pair, evidence in b.edges.items():
        known_evidence = a.edges.setdefault(pair, set())
        known_evidence |= evidence
        _trim(known_evidence, MAX_EVIDENCE)
    a.refused |= b.refused
    _trim(a.refused, MAX_REFUSED)
    return a


def losers(before: Component, after_winner: str) -> Iterator[str]:
    """Members that another id stands for from now on, while until now ``before.winner`` did."""
    if before.winner != after_winner:
        yield from (node for node in before.members if node != after_winner)


def dump(component: Component) -> bytes:
    return orjson.dumps(
        {
            "id": component.id,
            "members": {n: [m.type, m.value, m.position] for n, m in component.members.items()},
            "edges": [
                [a, b, [[e.at_ms, e.event_id, e.kind] for e in sorted(evidence)]]
                for (a, b), evidence in component.edges.items()
            ],
            "refused": [[r.at_ms, r.event_id, r.near, r.type, r.value, r.reason] for r in sorted(component.refused)],
            "into": component.into,
        }
    )


def load(row: bytes) -> Component:
    value = orjson.loads(row)
    return Component(
        id=value["id"],
        members={n: Member(*m) for n, m in value["members"].items()},
        edges={(a, b): {Evidence(*e) for e in evidence} for a, b, evidence in value["edges"]},
        refused={Refusal(*r) for r in value["refused"]},
        into=value["into"],
    )
