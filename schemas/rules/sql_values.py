"""A rule's comparison and the place of a JSON value in; the SQL of the same test, its values as parameters, out.

The SQL twin of ``schemas.rules.compare``. ClickHouse orders two numbers as Float64, so whole numbers beyond 2^53 may
differ there; equality is exact.
"""

from collections.abc import Sequence
from typing import Any

from schemas.rules.aggregates import SCALE
from schemas.rules.compare import EXACT_DIGITS, NEGATED, number_of, values_of
from schemas.rules.nodes import Comparison, Instant, Scalar
from schemas.times import END_MS, FIRST_MS, ISO_VALUE, MILLISECONDS_FROM

_NUMBER = r"^[+-]?([0-9]{1,400}(\\.[0-9]{0,400})?|\\.[0-9]{1,400})([eE][+-]?[0-9]{1,4})?$"
_ORDER = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<=", "before": "<", "after": ">", "eq": "=", "ne": "!="}
NUMBERS = "('Int64', 'UInt64', 'Double')"
_WHOLE = "('Int64', 'UInt64')"
_DIGITS = rf"^[+-]?[0-9]{{1,{EXACT_DIGITS}}}$"
"""Texts that spell a whole number exactly; longer ones are Float64."""

_EPOCH_DAYS = 719_468
"""From 0000-03-01 to 1970-01-01."""
_PATTERN = f"^{ISO_VALUE}$"
_YEAR, _MONTH, _DAY = (f"toInt64OrZero(g[{n}])" for n in (1, 2, 3))
_HOUR, _MINUTE, _SECOND = (f"toInt64OrZero(g[{n}])" for n in (5, 6, 8))
_FRACTION = "toInt64OrZero(substring(rightPad(g[10], 3, '0'), 1, 3))"
_ZONE = "(toInt64OrZero(g[13]) * 60 + toInt64OrZero(g[15])) * if(g[12] = '-', -60000, 60000)"
_MARCH_YEAR = f"({_YEAR} - ({_MONTH} <= 2))"
_DAYS = (
    f"{_MARCH_YEAR} * 365 + intDiv({_MARCH_YEAR}, 4) - intDiv({_MARCH_YEAR}, 100) + intDiv({_MARCH_YEAR}, 400)"
    f" + intDiv(153 * ({_MONTH} + if({_MONTH} > 2, -3, 9)) + 2, 5) + {_DAY} - 1 - {_EPOCH_DAYS}"
)
_IS_LEAP = f"(({_YEAR} % 4 = 0 AND {_YEAR} % 100 != 0) OR {_YEAR} % 400 = 0)"
_LAST_DAY = f"multiIf({_MONTH} = 2, 28 + {_IS_LEAP}, {_MONTH} IN (4, 6, 9, 11), 30, 31)"
_MS = f"(({_DAYS}) * 24 + {_HOUR}) * 3600000 + {_MINUTE} * 60000 + {_SECOND} * 1000 + {_FRACTION} - {_ZONE}"
_IS_DAY = f"length(g) > 0 AND {_YEAR} > 0 AND {_DAY} <= {_LAST_DAY}"


def text_ms(text: str) -> str:
    """The SQL of epoch ms from the year 1 to 9999, or NULL for an invalid time: as ``schemas.times.value_ms``.

    ClickHouse's own times end in 1900 and 2299, so days are counted here.
    """
    parts = f"if(match({text}, '{_PATTERN}'), extractGroups({text}, '{_PATTERN}'), [])"
    return f"arrayMap(g -> if({_IS_DAY}, {_MS}, NULL), [{parts}])[1]"


def in_range(ms: str) -> str:
    return f"({ms} >= {FIRST_MS} AND {ms} < {END_MS})"


_FROM_MARCH = f"intDiv({{ms}} + {_EPOCH_DAYS * 86_400_000}, 86400000)"
"""Days since 0000-03-01."""


def month_day(place: "JsonColumn") -> str:
    """Month * 100 + day, or 0 for an invalid time: as ``schemas.calendar_days.month_day``."""
    text = f"toInt64OrZero(substring({place.text}, 6, 2)) * 100 + toInt64OrZero(substring({place.text}, 9, 2))"
    days = _FROM_MARCH.format(ms=f"assumeNotNull({place.time_ms})")
    of_era = "z % 146097"
    year = f"intDiv({of_era} - intDiv({of_era}, 1460) + intDiv({of_era}, 36524) - intDiv({of_era}, 146096), 365)"
    of_year = f"{of_era} - (365 * y + intDiv(y, 4) - intDiv(y, 100))"
    month = "intDiv(5 * d + 2, 153)"
    sql = f"if({month} < 10, {month} + 3, {month} - 9) * 100 + d - intDiv(153 * {month} + 2, 5) + 1"
    unix = f"arrayMap((z, y) -> arrayMap(d -> {sql}, [{of_year}])[1], [{days}], arrayMap(z -> {year}, [{days}]))[1]"
    return f"multiIf(isNull({place.time_ms}), 0, {place.kind} = 'String', {text}, {unix})"


MOST_IN_FIELD = 48_000
"""Bytes of an array, about: ClickHouse takes 128 KiB in a field of a request."""


class Parameters:
    """The values of a query, each under its own name; equal values share one."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self._names: dict[tuple[str, str], str] = {}

    def add(self, value: Any, kind: str) -> str:
        """Adds a value; returns its placeholder in the query."""
        key = (kind, repr(value))
        name = self._names.setdefault(key, f"p{len(self._names)}")
        self.values[name] = value
        return f"{{{name}:{kind}}}"

    def text(self, value: str) -> str:
        if value.isprintable():
            return self.add(value, "String")
        # hex: drivers and servers differ in which control characters end or change a parameter
        return f"unhex({self.add(value.encode().hex(), 'String')})"

    def number(self, value: float) -> str:
        # text: one function parses data and parameter, so both round alike
        return f"toFloat64({self.text(repr(value))})"

    def whole(self, value: int) -> str:
        return self.add(value, "Int64")

    def has(self, sql: str, texts: Sequence[str], kind: str = "String") -> str:
        """Whether an expression equals one of the values, which are texts that ClickHouse reads as ``kind``."""
        parts: list[list[str]] = [[]]
        size = 0
        is_plain = all(map(str.isprintable, texts))
        for value in texts:
            spelt = value if is_plain else value.encode().hex()
            if size > MOST_IN_FIELD:
                parts.append([])
                size = 0
            parts[-1].append(spelt)
            size += 2 * len(spelt.encode()) + 3
        arrays = [self.add(part, "Array(String)") for part in parts]
        if not is_plain:
            arrays = [f"arrayMap(x -> unhex(x), {array})" for array in arrays]
        if kind != "String":
            arrays = [f"arrayMap(x -> to{kind}(x), {array})" for array in arrays]
        return f"({' OR '.join(f'{sql} IN {array}' for array in arrays)})"


class JsonColumn:
    """The SQL of a JSON value in a column or an expression.

    At the first step whose object has a field named by the rest of the path, the path ends in that field.
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
        """The JSON type; ``'Null'`` for a missing value."""
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
        """The finite number that the value is or spells, else NULL."""
        spelt = f"if(match({self.text}, '{_NUMBER}'), toFloat64OrNull({self.text}), NULL)"
        sql = f"multiIf({self.kind} IN {NUMBERS}, {self.float}, {self.kind} = 'String', {spelt}, NULL)"
        return f"if(isFinite(assumeNotNull({sql})), {sql}, NULL)"

    @property
    def time_ms(self) -> str:
        """The time in epoch ms, else NULL."""
        read = self.float
        unix = f"toInt64(if(abs({read}) >= {MILLISECONDS_FROM}, trunc({read}), round({read} * 1000)))"
        is_unix = f"{self.kind} IN {NUMBERS} AND {in_range(read)}"
        sql = f"multiIf({is_unix}, {unix}, {self.kind} = 'String', {text_ms(self.text)}, NULL)"
        return f"if({in_range(f'assumeNotNull({sql})')}, {sql}, NULL)"

    def units(self, largest: int) -> str:
        """The millionths of a number; NULL for other types and excessive numbers."""
        return f"if(abs({self.number}) <= {largest}, toInt64(round({self.number} * {SCALE})), NULL)"


def test(place: JsonColumn, comparison: Comparison, parameters: Parameters, now_ms: int) -> str:
    """The SQL of a test; never NULL."""
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
            return _is_one_of(place, values_of(value), parameters)
        case "not_in":
            return f"(NOT {_is_one_of(place, values_of(value), parameters)})"
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


def any_value(values: str, comparison: Comparison, parameters: Parameters) -> str:
    """The same test for an array of texts: as ``schemas.rules.compare.any_value``."""
    value = comparison.value
    match NEGATED.get(comparison.op, comparison.op):
        case "exists":
            sql = f"notEmpty({values})"
        case "eq":
            sql = f"has({values}, {parameters.text(value)})"
        case "in":
            texts = [str(item) for item in values_of(value)]
            sql = f"arrayExists(v -> {parameters.has('v', texts)}, {values})" if texts else "0"
        case "contains":
            sql = f"arrayExists(v -> position(v, {parameters.text(value)}) > 0, {values})"
        case "starts_with":
            sql = f"arrayExists(v -> startsWith(v, {parameters.text(value)}), {values})"
        case _:
            sql = f"arrayExists(v -> endsWith(v, {parameters.text(value)}), {values})"
    return f"(NOT {sql})" if comparison.op in NEGATED else f"({sql})"


def _equals(place: JsonColumn, operand: Scalar, parameters: Parameters) -> str:
    return _is_one_of(place, (operand,), parameters)


def _is_one_of(place: JsonColumn, operands: tuple[Scalar, ...], parameters: Parameters) -> str:
    """Tests membership by look-ups in sets: a list may be long."""
    truths = ["true" if operand else "false" for operand in operands if isinstance(operand, bool)]
    texts = [operand for operand in operands if isinstance(operand, str)] + truths
    numbers = [operand for operand in operands if not isinstance(operand, str | bool)]
    spelt = [number for operand in operands if isinstance(operand, str) and (number := number_of(operand)) is not None]
    is_true = [f"{place.boolean} = {int(truth == 'true')}" for truth in ("true", "false") if truth in texts]
    ways = [f"({place.kind} = 'Bool' AND ({' OR '.join(is_true)}))"] if is_true else []
    if texts:
        ways.append(f"({place.kind} = 'String' AND {parameters.has(place.text, texts)})")
    if numbers or spelt:
        ways.append(_is_a_number_of(place, [*numbers, *spelt], parameters))
    if numbers:
        ways.append(_spells_one_of(place, numbers, parameters))
    return f"({' OR '.join(ways) or '0'})"


def _is_a_number_of(place: JsonColumn, numbers: list[int | float], parameters: Parameters) -> str:
    """Tests JSON numbers; compares whole numbers by their digits, which are exact."""
    ways = []
    if wholes := [str(int(number)) for number in numbers if number == int(number)]:
        ways.append(f"({place.kind} IN {_WHOLE} AND {parameters.has(place.raw, wholes)})")
    if doubles := [repr(number) for number in numbers if float(number) == number]:
        ways.append(f"({place.kind} = 'Double' AND {parameters.has(place.float, doubles, 'Float64')})")
    return f"({' OR '.join(ways)})"


def _spells_one_of(place: JsonColumn, numbers: list[int | float], parameters: Parameters) -> str:
    """Tests texts that spell a number."""
    is_whole, ways = f"match({place.text}, '{_DIGITS}')", []
    if wholes := [str(int(number)) for number in numbers if number == int(number) and abs(number) < 10**EXACT_DIGITS]:
        whole_number = f"assumeNotNull(toInt128OrNull({place.text}))"
        ways.append(f"({is_whole} AND {parameters.has(whole_number, wholes, 'Int128')})")
    if doubles := [repr(number) for number in numbers if float(number) == number]:
        other_number = f"assumeNotNull(toFloat64OrNull({place.text}))"
        is_other = f"NOT {is_whole} AND match({place.text}, '{_NUMBER}')"
        ways.append(f"({is_other} AND {parameters.has(other_number, doubles, 'Float64')})")
    return f"({place.kind} = 'String' AND ({' OR '.join(ways)}))" if ways else "0"


def _contains(place: JsonColumn, operand: Scalar, parameters: Parameters) -> str:
    element = _equals(JsonColumn("element", (), parameters), operand, parameters)
    listed = f"({place.kind} = 'Array' AND arrayExists(element -> {element}, {place.elements}))"
    if not isinstance(operand, str):
        return listed
    sql = f"({place.kind} = 'String' AND position({place.text}, {parameters.text(operand)}) > 0)"
    return f"({listed} OR {sql})"
