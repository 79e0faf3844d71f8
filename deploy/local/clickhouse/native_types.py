"""The name of a ClickHouse type in, how its column is passed over in the Native format out; pure.

Types whose columns cannot be measured without decoding them (JSON, Dynamic, Variant, states of aggregate functions)
raise ``UnmeasurableError``.
"""

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import NamedTuple

Skip = Callable[[memoryview, int, int], int]
"""(bytes, where the column's data begins, rows) -> where it ends; ``rows`` is not 0."""


class UnmeasurableError(ValueError):
    """A type that is not measured here."""


class Column(NamedTuple):
    skip: Skip
    prefixes: int
    """Of low cardinality parts: each has eight bytes before all data."""


_WIDTHS = {
    **{f"{sign}Int{bits}": bits // 8 for sign in ("", "U") for bits in (8, 16, 32, 64, 128, 256)},
    "Float32": 4,
    "Float64": 8,
    "BFloat16": 2,
    "Bool": 1,
    "Nothing": 1,
    "Date": 2,
    "Date32": 4,
    "DateTime": 4,
    "DateTime64": 8,
    "Time": 4,
    "Time64": 8,
    "UUID": 16,
    "IPv4": 4,
    "IPv6": 16,
    "Enum8": 1,
    "Enum16": 2,
    **{f"Decimal{bits}": bits // 8 for bits in (32, 64, 128, 256)},
}
_ALIASES = {
    "Point": "Tuple(Float64, Float64)",
    "Ring": "Array(Point)",
    "LineString": "Array(Point)",
    "Polygon": "Array(Ring)",
    "MultiLineString": "Array(LineString)",
    "MultiPolygon": "Array(Polygon)",
}
_DIGITS = ((9, 4), (18, 8), (38, 16), (76, 32))
_NAMED = re.compile(r"(?:`(?:[^`\\]|\\.)*`|\w+) +(.+)", re.DOTALL)
_INDEX_BYTES = 0xFF


@lru_cache(maxsize=4096)
def column_of(name: str) -> Column:
    """Raises ``UnmeasurableError``."""
    base, bracket, rest = name.partition("(")
    parts = list(_split(rest[:-1])) if bracket else []
    if base in _ALIASES:
        return column_of(_ALIASES[base])
    if base in _WIDTHS:
        return Column(_fixed(_WIDTHS[base]), 0)
    if base.startswith("Interval"):
        return Column(_fixed(8), 0)
    if base == "String":
        return Column(_strings, 0)
    if base == "FixedString":
        return Column(_fixed(int(parts[0])), 0)
    if base == "Decimal":
        return Column(_fixed(next(width for digits, width in _DIGITS if int(parts[0]) <= digits)), 0)
    if base == "SimpleAggregateFunction":
        return column_of(parts[-1])
    if base == "Nullable":
        inner = column_of(parts[0])
        return Column(_nullable(inner.skip), inner.prefixes)
    if base == "Array":
        inner = column_of(parts[0])
        return Column(_array(inner.skip), inner.prefixes)
    if base in ("Tuple", "Map", "Nested") and parts:
        inner = _together([column_of(_type_of(part)) for part in parts])
        return inner if base == "Tuple" else Column(_array(inner.skip), inner.prefixes)
    if base == "LowCardinality":
        key = parts[0].removeprefix("Nullable(").removesuffix(")") if parts[0].startswith("Nullable(") else parts[0]
        return Column(_dictionary(column_of(key).skip), 1)
    raise UnmeasurableError(name)


def _split(text: str) -> Iterator[str]:
    """Parts between the outer commas; commas within quotes do not separate."""
    depth, start, quote, at = 0, 0, "", 0
    while at < len(text):
        char = text[at]
        if quote:
            at += char == "\\"
            quote = "" if char == quote else quote
        elif char in "'`":
            quote = char
        elif char in "()":
            depth += 1 if char == "(" else -1
        elif char == "," and not depth:
            yield text[start:at].strip()
            start = at + 1
        at += 1
    if text[start:].strip():
        yield text[start:].strip()


def _type_of(part: str) -> str:
    """An element of a tuple without its name."""
    named = _NAMED.fullmatch(part)
    return named[1] if named else part


def _fixed(width: int) -> Skip:
    return lambda _data, at, rows: at + width * rows


def varint(data: memoryview, at: int) -> tuple[int, int]:
    """The number, and where it ends."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def _strings(data: memoryview, at: int, rows: int) -> int:
    for _ in range(rows):
        size = data[at]
        at += 1
        if size >= 0x80:
            size, at = varint(data, at - 1)
        at += size
    return at


def _nullable(inner: Skip) -> Skip:
    return lambda data, at, rows: inner(data, at + rows, rows)


def _array(inner: Skip) -> Skip:
    def skip(data: memoryview, at: int, rows: int) -> int:
        at += 8 * rows
        items = int.from_bytes(data[at - 8 : at], "little")
        return inner(data, at, items) if items else at

    return skip


def _together(parts: list[Column]) -> Column:
    def skip(data: memoryview, at: int, rows: int) -> int:
        for part in parts:
            at = part.skip(data, at, rows)
        return at

    return Column(skip, sum(part.prefixes for part in parts))


def _dictionary(key: Skip) -> Skip:
    def skip(data: memoryview, at: int, rows: int) -> int:
        width = 1 << (data[at] & _INDEX_BYTES)
        keys = int.from_bytes(data[at + 8 : at + 16], "little")
        at = key(data, at + 16, keys) if keys else at + 16
        return at + 8 + width * rows

    return skip
