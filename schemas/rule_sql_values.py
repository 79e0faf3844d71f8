"""A rule's comparison and the place of a JSON value in; the SQL of the same test out, its values as parameters.

The twin of ``schemas.rule_compare``: the same three rules, in ClickHouse's words. Numbers are compared as Float64,
so whole numbers beyond 2^53 may differ, and of times the usual ISO 8601 forms are read.
"""

from typing import Any

from schemas.rule_nodes import Comparison, Instant, Scalar
from schemas.rule_totals import SCALE
from schemas.times import LATEST_MS, MILLISECONDS_FROM

_NUMBER = r"^[+-]?([0-9]{1,400}(\\.[0-9]{0,400})?|\\.[0-9]{1,400})([eE][+-]?[0-9]{1,4})?$"
_TIME = r"^\\d{4}-\\d{2}-\\d{2}([T ]\\d{2}:\\d{2}(:\\d{2}([.,]\\d{1,9})?)?(Z|[+-]\\d{2}:?\\d{2})?)?$"
_ORDER = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<=", "before": "<", "after": ">", "eq": "=", "ne": "!="}
NUMBERS = "('Int64', 'UInt64', 'Double')"


class Parameters:
    """Values on their way into a query, each under a name of its own; equal ones share it."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self._names: dict[tuple[str, str], str] = {}

    def add(self, value: Any, kind: str) -> str:
        """How the query names it."""
        key = (kind, repr(value))
        name = self._names.setdefault(key, f"p{len(self._names)}")
        self.values[name] = value
        return f"{{{name}:{kind}}}"

    def text(self, value: str) -> str:
        return self.add(value, "String")

    def number(self, value: float) -> str:
        # as text: what reads the data reads the parameter, so both are rounded alike
        return f"toFloat64({self.text(repr(value))})"

    def whole(self, value: int) -> str:
        return self.add(value, "Int64")


class Place:
    """A JSON value in a column, or in an expression, of JSON."""

    def __init__(self, document: str, path: tuple[str, ...], parameters: Parameters) -> None:
        self.arguments = ", ".join([document, *map(parameters.text, path)])

    @property
    def kind(self) -> str:
        """``'Null'`` where there is none."""
        return f"JSONType({self.arguments})"

    @property
    def text(self) -> str:
        return f"JSONExtractString({self.arguments})"

    @property
    def boolean(self) -> str:
        return f"JSONExtractBool({self.arguments})"

    @property
    def elements(self) -> str:
        return f"JSONExtractArrayRaw({self.arguments})"

    @property
    def number(self) -> str:
        """NULL for what neither is nor spells a finite number."""
        spelt = f"if(match({self.text}, '{_NUMBER}'), toFloat64OrNull({self.text}), NULL)"
        read = f"JSONExtractFloat({self.arguments})"
        found = f"multiIf({self.kind} IN {NUMBERS}, {read}, {self.kind} = 'String', {spelt}, NULL)"
        return f"if(isFinite(assumeNotNull({found})), {found}, NULL)"

    @property
    def time_ms(self) -> str:
        """NULL for what is no time."""
        read = f"JSONExtractFloat({self.arguments})"
        unix = f"toInt64(if({read} >= {MILLISECONDS_FROM}, trunc({read}), round({read} * 1000)))"
        parsed = f"toUnixTimestamp64Micro(parseDateTime64BestEffortOrNull({self.text}, 6, 'UTC'))"
        spelt = f"if(match({self.text}, '{_TIME}'), toInt64(round({parsed} / 1000)), NULL)"
        found = (
            f"multiIf({self.kind} IN {NUMBERS} AND {read} >= 0 AND {read} < {LATEST_MS}, {unix}, "
            f"{self.kind} = 'String', {spelt}, NULL)"
        )
        return f"if(assumeNotNull({found}) >= 0 AND assumeNotNull({found}) < {LATEST_MS}, {found}, NULL)"

    def units(self, largest: int) -> str:
        """The millionths of a number; NULL for what is none, or too large."""
        return f"if(abs({self.number}) <= {largest}, toInt64(round({self.number} * {SCALE})), NULL)"


def test(place: Place, comparison: Comparison, parameters: Parameters, now_ms: int) -> str:
    """Never NULL."""
    value = comparison.value
    match comparison.op:
        case "exists":
            return f"({place.kind} != 'Null')"
        case "not_exists":
            return f"({place.kind} = 'Null')"
        case "eq":
            return _equals(place, value, parameters)
        case "ne":
            return f"(NOT {_equals(place, value, parameters)})"
        case "in":
            return _is_one_of(place, value, parameters)
        case "not_in":
            return f"(NOT {_is_one_of(place, value, parameters)})"
        case "contains":
            return _contains(place, value, parameters)
        case "starts_with":
            return f"({place.kind} = 'String' AND startsWith({place.text}, {parameters.text(value)}))"
        case "ends_with":
            return f"({place.kind} = 'String' AND endsWith({place.text}, {parameters.text(value)}))"
        case op if isinstance(value, Instant):
            moment = parameters.whole(value.ms + (now_ms if value.moving else 0))
            return f"ifNull({place.time_ms} {_ORDER[op]} {moment}, 0)"
        case op:
            return f"ifNull({place.number} {_ORDER[op]} {parameters.number(value)}, 0)"


def _equals(place: Place, wanted: Scalar, parameters: Parameters) -> str:
    if isinstance(wanted, bool):
        return f"({place.kind} = 'Bool' AND {place.boolean} = {int(wanted)})"
    if isinstance(wanted, str):
        return f"({place.kind} = 'String' AND {place.text} = {parameters.text(wanted)})"
    return f"ifNull({place.number} = {parameters.number(wanted)}, 0)"


def _is_one_of(place: Place, wanted: tuple[Scalar, ...], parameters: Parameters) -> str:
    return f"({' OR '.join(_equals(place, one, parameters) for one in wanted)})"


def _contains(place: Place, wanted: Scalar, parameters: Parameters) -> str:
    element = _equals(Place("element", (), parameters), wanted, parameters)
    listed = f"({place.kind} = 'Array' AND arrayExists(element -> {element}, {place.elements}))"
    if not isinstance(wanted, str):
        return listed
    found = f"({place.kind} = 'String' AND position({place.text}, {parameters.text(wanted)}) > 0)"
    return f"({listed} OR {found})"
