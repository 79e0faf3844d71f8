"""Two components in, the reason why they must not meet (or none) out; pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from processors.identity.graph import Component
from schemas import identity


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How many identifiers of a type one contact may have."""

    per_type: dict[str, int] = field(
        default_factory=lambda: {
            identity.EXTERNAL_ID: 1,
            identity.EMAIL: 5,
            identity.PHONE: 5,
            identity.ANONYMOUS_ID: 1000,
            identity.DEVICE_ID: 1000,
        }
    )
    custom: int = 5
    total: int = 1000

    def of(self, kind: str) -> int:
        return self.per_type.get(kind, self.custom)


DEFAULT = Limits()
CUSTOM, TOTAL = "custom", "total"
"""What a workspace's settings call the limit of each other type, and that of all identifiers."""


def limits_of(settings: Mapping[str, int]) -> Limits:
    """The defaults with what a workspace has set in their place."""
    if not settings:
        return DEFAULT
    types = {kind: most for kind, most in settings.items() if kind not in (CUSTOM, TOTAL)}
    return Limits(
        per_type=DEFAULT.per_type | types,
        custom=settings.get(CUSTOM, DEFAULT.custom),
        total=settings.get(TOTAL, DEFAULT.total),
    )


def refusal(a: Component, b: Component, *, explicit: bool, limits: Limits = DEFAULT) -> str | None:
    """Why a link may not join the two: ``limit:email``, ``two_contacts``, ``limit:total``; ``None``: it may.

    An explicit alias or merge overrules everything but the total. Symmetric in its components.
    """
    if a.members.keys() & b.members.keys():
        # one contact already: a crash kept one row of their union and lost the other; it was let through then
        return None
    if len(a.members) + len(b.members) > limits.total:
        return "limit:total"
    if explicit:
        return None
    mine, other = a.counts(), b.counts()
    # a side that is over its limit by an explicit call stays linkable: only what both sides have can grow too large
    for kind in sorted(mine.keys() & other.keys()):
        if mine[kind] + other[kind] > limits.of(kind):
            return "two_contacts" if kind == identity.EXTERNAL_ID else f"limit:{kind}"
    return None
