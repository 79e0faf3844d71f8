"""Two components in; the reason why they must not merge, or ``None``, out; pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from processors.identity.graph import Component, Evidence, Pair
from schemas.records import identity
from schemas.records.records import CONTACT, IDENTIFY


@dataclass(frozen=True, slots=True)
class Limits:
    """The number of identifiers of a type that a contact may have; ``settings`` are the workspace's own limits."""

    settings: Mapping[str, int] = field(default_factory=dict)

    def of(self, kind: str) -> int:
        """The limit of a type of identifier, or of ``identity.TOTAL``."""
        own_limit = self.settings.get(kind) or identity.LIMITS.get(kind)
        return own_limit or self.settings.get(identity.CUSTOM) or identity.LIMITS[identity.CUSTOM]


DEFAULT: Final = Limits()
TWO: Final = "two_contacts"
CLAIMS: Final = frozenset((IDENTIFY, CONTACT))
"""Kinds of events whose sender, if it is an external id, is an identified person."""


def refusal(a: Component, b: Component, pair: Pair, evidence: Evidence, limits: Limits = DEFAULT) -> str | None:
    """Returns the reason to refuse a link: ``limit:email``, ``two_contacts``, ``limit:total``; ``None`` allows it.

    An explicit alias or merge overrules all limits but the total. A sender's earlier id may exceed the limit of
    external ids, unless it belongs to an identified person. The result is the same for both orders of the components.
    """
    if a.members.keys() & b.members.keys():
        # both are one contact already: a crash kept one row of an earlier union and lost the other
        return None
    if len(a.members) + len(b.members) > limits.of(identity.TOTAL):
        return "limit:total"
    if evidence.explicit:
        return None
    if evidence.keeper and _are_two(a, b, pair, evidence):
        return TWO
    # a side that an explicit call put over its limit stays linkable: only types that both sides have can exceed it
    shared = a.types() & b.types()
    if not shared:
        return None
    mine, other = a.counts(), b.counts()
    for kind in sorted(shared):
        if kind == identity.EXTERNAL_ID and evidence.keeper:
            continue
        if mine[kind] + other[kind] > limits.of(kind):
            return TWO if kind == identity.EXTERNAL_ID else f"limit:{kind}"
    return None


def _are_two(a: Component, b: Component, pair: Pair, evidence: Evidence) -> bool:
    """Whether the earlier id is another identified person.

    Senders swap ids too: a claimed earlier id and an unclaimed sender are one person.
    """
    kept, other = (a, b) if evidence.keeper in a.members else (b, a)
    if not other.is_claimed(evidence.place):
        return False
    earlier = pair[1] if pair[0] == evidence.keeper else pair[0]
    return kept.is_claimed(evidence.place) or other.members[earlier].claimed >= evidence.place
