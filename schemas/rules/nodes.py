"""The segment rule language as a tree of frozen nodes, which `schemas/rules/parse.py` makes and stages compile."""

from dataclasses import dataclass, field
from typing import Any

BY_MACHINE = "by_machine"
"""The operator of a test on all properties of an open or a click: whether no person did it."""
Scalar = str | int | float | bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Instant:
    """Epoch ms, or where ``moving`` the ms that are added to the present moment."""

    ms: int
    moving: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ListValues:
    """A named list in place of the values of ``in`` or ``not_in``; before ``rule_tree.expand`` it is a name alone.

    A list that does not exist has no values. Two of one name and digest are equal: ``digest`` follows from the values.
    """

    name: str
    digest: str = ""
    kind: str = ""
    """The type of identifiers that the values are normalised as; empty: they are as they were written."""
    values: tuple[Scalar, ...] = field(default=(), compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """``value`` is a Scalar, a tuple of them or ListValues (``in``, ``not_in``), an Instant, or None (``exists``)."""

    op: str
    value: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AllOf:
    rules: tuple["Rule", ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AnyOf:
    rules: tuple["Rule", ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Not:
    rule: "Rule"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribute:
    """``path`` starts with the attribute's name."""

    path: tuple[str, ...]
    test: Comparison


@dataclass(frozen=True, slots=True, kw_only=True)
class Zone:
    """A time zone by its IANA name; where ``path`` leads to an attribute that names one, that one."""

    name: str = "UTC"
    path: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Anniversary:
    """The month and day of the attribute at ``path`` are those of the day that is ``days`` after today in ``zone``."""

    path: tuple[str, ...]
    days: int = 0
    zone: Zone = Zone()


@dataclass(frozen=True, slots=True, kw_only=True)
class HasIdentifier:
    """A test on the contact's identifiers of a type, as they are normalised: true if one of them passes it."""

    kind: str
    test: Comparison


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """A test on a property of an event; no Instant in it moves. Without a path it is on all properties."""

    path: tuple[str, ...]
    test: Comparison


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """How many, or the sum, max or min of the property at ``path``, where it is a number."""

    kind: str = "count"
    path: tuple[str, ...] = ()
    op: str = "gte"
    value: int | float = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Within:
    """From ``ms`` ago until now, both included."""

    ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Between:
    """The end is not included."""

    from_ms: int
    to_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Happened:
    """No window: ever."""

    event: str
    where: tuple[Where, ...] = ()
    measure: Measure = Measure()
    window: Within | Between | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """``count`` events, each later than the step before it, the last less than ``within_ms`` after that.

    Without a step before it: the last less than ``within_ms`` after the first.
    """

    event: str
    where: tuple[Where, ...] = ()
    within_ms: int | None = None
    count: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class InOrder:
    """Events, each later than the event of the preceding step."""

    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Absent:
    """``for_ms`` have passed since some ``after`` without another event that is ``missing``, from ``after`` on.

    With ``within_ms`` only since an ``after`` that is not longer ago than that.
    """

    missing: Step
    after: Step
    for_ms: int
    within_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InSegment:
    """``rule`` is the other segment's, once ``schemas.rules.rule_tree.expand`` has put it in; ``None``: it has none."""

    segment_id: str
    rule: "Rule | None" = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Consent:
    name: str
    value: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Identified:
    value: bool


Rule = (
    AllOf
    | AnyOf
    | Not
    | Attribute
    | Anniversary
    | HasIdentifier
    | Happened
    | InOrder
    | Absent
    | InSegment
    | Consent
    | Identified
)
