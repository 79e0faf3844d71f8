"""A rule's comparison and the place of a JSON value in; the SQL of the same test out, its values as parameters.

The twin of ``schemas.rules.compare``: the same rules, in ClickHouse's words. Which of two numbers is larger is decided
as Float64, so whole numbers beyond 2^53 may differ there; whether they are equal is exact.
"""

from typing import Any

from schemas.rules.aggregates import SCALE
from schemas.rules.compare import EXACT_DIGITS, number_of
from schemas.rules.nodes import Comparison, Instant, Scalar
from schemas.rules.sql_times import in_range, text_ms
from schemas.times import MILLISECONDS_FROM

_NUMBER = r"^[+-]?([0-9]{1,400}(\\.[0-9]{0,400})?|\\.[0-9]{1,400})([eE][+-]?[0-9]{1,4})?$"
_ORDER = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<=", "before": "<", "after": ">", "eq": "=", "ne": "!="}
NUMBERS = "('Int64', 'UInt64', 'Double')"
_WHOLE = "('Int64', 'UInt64')"
_DIGITS = rf"^[+-]?[0-9]{{1,{EXACT_DIGITS}}}$"
"""Texts that spell a whole number exactly; longer ones are Float64."""


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
        if value.isprintable():
            return self.add(value, "String")
        # in hex: drivers and servers differ in which control characters end or change a parameter
        return f"unhex({self.add(value.encode().hex(), 'String')})"

    def number(self, value: float) -> str:
        # as text: what reads the data reads the parameter, so both are rounded alike
        return f"toFloat64({self.text(repr(value))})"

    def whole(self, value: int) -> str:
        return self.add(value, "Int64")


class JsonColumn:
    """A JSON value in a column, or in an expression, of JSON.

    A path of several parts leads to what has the rest of it as its name, at the first step where there is such.
    """

    def __init__(self, document: str, path: tuple[str, ...], parameters: Parameters) -> None:
        names = [(*path[:n], ".".join(path[n:])) for n in range(len(path))] or [()]
        self._ways = [", ".join([document, *map(parameters.text, way)]) for way in names]

    def _read(self, function: str) -> str:
        *first, last = self._ways
        if not first:
            return f"{function}({last})"
        tries = [f"JSONType({way}) != 'Null', {function}({way})" for way in first]
        return f"multiIf({', '.join(tries)}, {function}({last}))"

    @property
    def kind(self) -> str:
        """``'Null'`` where there is none."""
        return self._read("JSONType")

    @property
    def text(self) -> str:
        return self._read("JSONExtractString")

    @property
    def boolean(self) -> str:
        return self._read("JSONExtractBool")

    @property
    def raw(self) -> str:
        return self._read("JSONExtractRaw")

    @property
    def float(self) -> str:
        return self._read("JSONExtractFloat")

    @property
    def elements(self) -> str:
        return self._read("JSONExtractArrayRaw")

    @property
    def number(self) -> str:
        """NULL for what neither is nor spells a finite number."""
        spelt = f"if(match({self.text}, '{_NUMBER}'), toFloat64OrNull({self.text}), NULL)"
        found = f"multiIf({self.kind} IN {NUMBERS}, {self.float}, {self.kind} = 'String', {spelt}, NULL)"
        return f"if(isFinite(assumeNotNull({found})), {found}, NULL)"

    @property
    def time_ms(self) -> str:
        """NULL for what is no time."""
        read = self.float
        unix = f"toInt64(if(abs({read}) >= {MILLISECONDS_FROM}, trunc({read}), round({read} * 1000)))"
        is_unix = f"{self.kind} IN {NUMBERS} AND {in_range(read)}"
        found = f"multiIf({is_unix}, {unix}, {self.kind} = 'String', {text_ms(self.text)}, NULL)"
        return f"if({in_range(f'assumeNotNull({found})')}, {found}, NULL)"

    def units(self, largest: int) -> str:
        """The millionths of a number; NULL for other types, or if too large."""
        return f"if(abs({self.number}) <= {largest}, toInt64(round({self.number} * {SCALE})), NULL)"


def test(place: JsonColumn, comparison: Comparison, parameters: Parameters, now_ms: int) -> str:
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


def _equals(place: JsonColumn, wanted: Scalar, parameters: Parameters) -> str:
    if isinstance(wanted, bool):
        return f"({_is_truth(place, truth=wanted)} OR {_is_text(place, 'true' if wanted else 'false', parameters)})"
    if isinstance(wanted, str):
        is_text = _is_text(place, wanted, parameters)
        if wanted in ("true", "false"):
            return f"({is_text} OR {_is_truth(place, truth=wanted == 'true')})"
        number = number_of(wanted)
        return is_text if number is None else f"({is_text} OR {_is_number(place, number, parameters)})"
    return f"({_is_number(place, wanted, parameters)} OR {_spells(place, wanted, parameters)})"


def _is_text(place: JsonColumn, wanted: str, parameters: Parameters) -> str:
    return f"({place.kind} = 'String' AND {place.text} = {parameters.text(wanted)})"


def _is_truth(place: JsonColumn, *, truth: bool) -> str:
    return f"({place.kind} = 'Bool' AND {place.boolean} = {int(truth)})"


def _is_number(place: JsonColumn, wanted: float, parameters: Parameters) -> str:
    """A JSON number; whole ones by their digits, which are exact."""
    double = f"({place.kind} = 'Double' AND {place.float} = {parameters.number(wanted)})"
    if wanted != int(wanted):
        return double
    whole = f"({place.kind} IN {_WHOLE} AND {place.raw} = {parameters.text(str(int(wanted)))})"
    return f"({whole} OR {double})" if float(wanted) == wanted else whole


def _spells(place: JsonColumn, wanted: float, parameters: Parameters) -> str:
    is_whole = f"match({place.text}, '{_DIGITS}')"
    number = parameters.number(wanted)
    double = f"(NOT {is_whole} AND match({place.text}, '{_NUMBER}') AND toFloat64OrNull({place.text}) = {number})"
    if float(wanted) != wanted:
        double = "0"
    whole = "0"
    if wanted == int(wanted) and abs(wanted) < 10**EXACT_DIGITS:
        whole = f"({is_whole} AND toInt128OrNull({place.text}) = toInt128({parameters.text(str(int(wanted)))}))"
    return f"({place.kind} = 'String' AND ifNull({whole} OR {double}, 0))"


def _is_one_of(place: JsonColumn, wanted: tuple[Scalar, ...], parameters: Parameters) -> str:
    return f"({' OR '.join(_equals(place, one, parameters) for one in wanted)})"


def _contains(place: JsonColumn, wanted: Scalar, parameters: Parameters) -> str:
    element = _equals(JsonColumn("element", (), parameters), wanted, parameters)
    listed = f"({place.kind} = 'Array' AND arrayExists(element -> {element}, {place.elements}))"
    if not isinstance(wanted, str):
        return listed
    found = f"({place.kind} = 'String' AND position({place.text}, {parameters.text(wanted)}) > 0)"
    return f"({listed} OR {found})"
