"""The segment rule language as a tree of frozen nodes: `schemas/rules/parse.py` makes them and stages compile them."""

from dataclasses import dataclass, field
from typing import Any

BY_MACHINE = "by_machine"
"""The operator of a test on all properties of an open or a click: whether no person did it."""
Scalar = str | int | float | bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Instant:
    """Epoch ms, or if ``moving`` the ms to add to the present moment."""

    ms: int
    moving: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ListValues:
    """A named list in place of the values of ``in`` or ``not_in``; before ``rule_tree.expand`` it holds only a name.

    A missing list has no values. Lists of one name and digest are equal: ``digest`` follows from the values.
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
    """A time zone by its IANA name, or from the attribute at ``path``, which names one."""

    name: str = "UTC"
    path: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Anniversary:
    """The month and day of the attribute at ``path`` equal those of the day ``days`` after today in ``zone``."""

    path: tuple[str, ...]
    days: int = 0
    zone: Zone = Zone()


@dataclass(frozen=True, slots=True, kw_only=True)
class HasIdentifier:
    """A test on the contact's normalised identifiers of a type: true if at least one passes."""

    kind: str
    test: Comparison


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """A test on a property of an event; its Instant never moves. Without a path it tests all properties."""

    path: tuple[str, ...]
    test: Comparison


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """The number of events, or the sum, max or min of the numbers at ``path``."""

    kind: str = "count"
    path: tuple[str, ...] = ()
    op: str = "gte"
    value: int | float = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Within:
    """From ``ms`` ago until now, inclusive."""

    ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Between:
    """From start to end; excludes the end."""

    from_ms: int
    to_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Happened:
    """Events of all time if there is no window."""

    event: str
    where: tuple[Where, ...] = ()
    measure: Measure = Measure()
    window: Within | Between | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """``count`` events, each later than the preceding step, the last less than ``within_ms`` after that step.

    For a first step: the last less than ``within_ms`` after the first.
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
    """``for_ms`` have passed since an ``after`` event, and no other event from it on was ``missing``.

    With ``within_ms`` only an ``after`` event at most that long ago counts.
    """

    missing: Step
    after: Step
    for_ms: int
    within_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InSegment:
    """``rule`` is the other segment's, after ``schemas.rules.rule_tree.expand``; ``None`` without a rule."""

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
