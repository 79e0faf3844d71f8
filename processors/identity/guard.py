"""Two components in, the reason why they must not meet (or none) out; pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from processors.identity.graph import Component
from schemas import identity


@dataclass(frozen=True, slots=True)
class Limits:
    """How many identifiers of a type one contact may have; ``settings`` are what a workspace has set itself."""

    settings: Mapping[str, int] = field(default_factory=dict)

    def of(self, kind: str) -> int:
        """Of a type of identifier, or ``identity.TOTAL``."""
        known = self.settings.get(kind) or identity.LIMITS.get(kind)
        return known or self.settings.get(identity.CUSTOM) or identity.LIMITS[identity.CUSTOM]


DEFAULT = Limits()


def refusal(a: Component, b: Component, *, explicit: bool, limits: Limits = DEFAULT) -> str | None:
    """Why a link may not join the two: ``limit:email``, ``two_contacts``, ``limit:total``; ``None``: it may.

    An explicit alias or merge overrules everything but the total. Symmetric in its components.
    """
    if a.members.keys() & b.members.keys():
        # one contact already: a crash kept one row of their union and lost the other; it was let through then
        return None
    if len(a.members) + len(b.members) > limits.of(identity.TOTAL):
        return "limit:total"
    if explicit:
        return None
    mine, other = a.counts(), b.counts()
    # a side that is over its limit by an explicit call stays linkable: only what both sides have can grow too large
    for kind in sorted(mine.keys() & other.keys()):
        if mine[kind] + other[kind] > limits.of(kind):
            return "two_contacts" if kind == identity.EXTERNAL_ID else f"limit:{kind}"
    return None
