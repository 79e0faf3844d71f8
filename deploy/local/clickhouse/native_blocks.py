"""An answer in the Native format in, the same for a client of a protocol version (``client_protocol_version``) out.

The embedded engine writes Native as for version 0. What the versions add in the answers to a query, by ClickHouse's
``NativeWriter`` and ``BlockInfo``:

1. any: each block begins with its block info (not overflown, no bucket).
2. from 54337: the type ``DateTime`` has its time zone.
3. from 54454: behind each column's type stands whether it has a serialization of its own (none has, here).
4. from 54480: block info has a third field, the list of delayed buckets (empty).

JSON, Dynamic and Variant columns say in themselves which version of theirs they are in; all clients read the first.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import orjson

from deploy.local.clickhouse.native_types import UnmeasurableError, column_of, varint

TIME_ZONES, CUSTOM_SERIALIZATION, DELAYED_BUCKETS = 54337, 54454, 54480
_INFO = b"\x01\x00\x02\xff\xff\xff\xff"
_NO_DELAYED, _END = b"\x03\x00", b"\x00"
Ask = Callable[[str], bytes]
"""Runs a query over the answer to rewrite, which ``{table}`` names; returns its answer in Native."""


@dataclass(frozen=True, slots=True)
class Version:
    """The block's head for a client of this version; ``types`` of columns whose type version 0 shortens."""

    number: int
    types: Mapping[str, str]

    @property
    def info(self) -> bytes:
        return _INFO + (_NO_DELAYED if self.number >= DELAYED_BUCKETS else b"") + _END

    def head_of(self, plain: bytes) -> bytes:
        """The head of a column as version 0 has it, its name and type."""
        view = memoryview(plain)
        name, at = _text(view, 0)
        return self.head(name, bytes(_text(view, at)[0]))

    def head(self, name: memoryview, kind: bytes) -> bytes:
        text = bytes(name)
        if kind == b"DateTime" and self.number >= TIME_ZONES:
            kind = self.types.get(text.decode("utf-8", "replace"), "DateTime").encode()
        custom = b"\x00" if self.number >= CUSTOM_SERIALIZATION else b""
        return _counted(text) + _counted(kind) + custom


def has_time_zones(data: bytes) -> bool:
    """Whether a column may have an unstated time zone."""
    return b"\x08DateTime" in data[: 1 << 20]


def versioned(data: bytes, version: Version, rows: int) -> bytes:
    """Raises ``UnmeasurableError`` for types that need ``rebuilt``; ``rows`` of all blocks."""
    view = memoryview(data)
    if version.number < TIME_ZONES or (version.number < CUSTOM_SERIALIZATION and not has_time_zones(data)):
        columns, at = varint(view, 0) if data else (0, 0)
        if columns and varint(view, at)[0] == rows:
            return version.info + data  # one block: nothing in it changes
    return b"".join(_rewritten(view, version))


def _rewritten(view: memoryview, version: Version) -> Iterator[bytes | memoryview]:
    at = 0
    while at < len(view):
        begin = at
        columns, at = varint(view, at)
        rows, at = varint(view, at)
        yield version.info
        yield view[begin:at]
        for _ in range(columns):
            name, at = _text(view, at)
            kind, at = _text(view, at)
            yield version.head(name, bytes(kind))
            if rows:
                column = column_of(bytes(kind).decode("utf-8", "replace"))
                end = column.skip(view, at + 8 * column.prefixes, rows)
                if end > len(view):
                    raise UnmeasurableError(f"{bytes(kind)!r} is larger than the answer")
                yield view[at:end]
                at = end


def rebuilt(data: bytes, version: Version, ask: Ask) -> bytes:
    """The same for any type, with the engine's help: it formats each column alone."""
    counts = [int(line) for line in ask(_ROWS).split()]
    columns, _ = varint(memoryview(data), 0)
    names = [quoted(row[0]) for row in orjson.loads(ask("DESCRIBE TABLE {table} FORMAT JSONCompact"))["data"]]
    if len(set(names)) != columns:
        raise UnmeasurableError("two columns of one name")
    parts = [_column(name, counts, version, ask) for name in names]
    heads = [version.info + _varint(columns) + _varint(rows) for rows in counts]
    return b"".join(part for head, *block in zip(heads, *parts, strict=True) for part in (head, *block))


def _column(name: str, counts: Sequence[int], version: Version, ask: Ask) -> list[bytes]:
    """The column's part of each block: its head and its data."""
    alone = ask(f"SELECT {name} FROM {{table}} FORMAT Native")  # noqa: S608 - the name is quoted
    _, at = varint(memoryview(alone), 1)
    common = alone[at : _head_end(alone)]
    if alone.count(common) == len(counts):
        return [version.head_of(common) + data for data in _between(alone, common, counts)]
    blocks, done = [], 0  # the data look like a head of a block: query each block
    for rows in counts:
        statement = f"SELECT {name} FROM {{table}} LIMIT {rows} OFFSET {done} FORMAT Native"  # noqa: S608 - as above
        block = ask(statement)
        if block[1 : 1 + len(_varint(rows))] != _varint(rows):
            raise UnmeasurableError(f"{name} came in another block")
        blocks.append(version.head_of(common) + block[_head_end(block) :])
        done += rows
    return blocks


def _between(alone: bytes, common: bytes, counts: Sequence[int]) -> Iterator[bytes]:
    """The data of each block, which begins with one column, its rows and what all heads have in common."""
    start = alone.find(common) + len(common)
    for rows in (*counts[1:], None):
        following = len(alone) if rows is None else alone.find(common, start)
        yield alone[start : following if rows is None else following - 1 - len(_varint(rows))]
        start = following + len(common)


def _head_end(alone: bytes) -> int:
    """Where the data of a block with one column begin."""
    view = memoryview(alone)
    _, at = varint(view, 0)
    _, at = varint(view, at)
    _, at = _text(view, at)
    return _text(view, at)[1]


_ROWS = "SELECT count() FROM {table} GROUP BY blockNumber() AS b ORDER BY b FORMAT TSV"


def quoted(name: str) -> str:
    """A column's name in a query."""
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"


def _text(view: memoryview, at: int) -> tuple[memoryview, int]:
    size, at = varint(view, at)
    return view[at : at + size], at + size


def _counted(text: bytes) -> bytes:
    return _varint(len(text)) + text


def _varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
