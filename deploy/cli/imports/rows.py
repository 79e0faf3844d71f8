"""Unpacked bytes in; rows with their line numbers out: values by column, or the reason of an unreadable line.

An unreadable line costs only itself. Lines have a maximum length, so a file without lines cannot fill the memory.
"""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import orjson

from deploy.client.config import ConfigError

MAX_LINE = 1 << 20
SAMPLE = 1000
CSV, NDJSON = "csv", "ndjson"
DELIMITERS = ",;\t|"
PEEK = 64 * 1024

Values = list[str] | dict[str, Any]
"""Of a CSV file in the order of its header, of NDJSON by name."""


@dataclass(frozen=True, slots=True)
class Row:
    line: int
    """Of its beginning, from 1."""
    values: Values | None
    problem: str = ""
    text: str = ""
    """Of a line that is no row, its beginning."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The format of a file."""

    kind: str
    columns: tuple[str, ...]
    """Of NDJSON the names that its first rows have."""
    delimiter: str = ","
    encoding: str = "utf-8-sig"
    sample: list[Row] = field(default_factory=list)
    """The first rows."""


def layout(stream: io.BufferedReader, kind: str = "", delimiter: str = "", encoding: str = "utf-8-sig") -> Layout:
    """Guesses missing options from the file's start; raises ``ConfigError`` for no rows or repeated names."""
    head = stream.peek(PEEK)[:PEEK]
    if not head.strip():
        raise ConfigError("the file is empty")
    kind = kind or (NDJSON if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{") else CSV)
    if kind == NDJSON:
        sample = list(islice(_ndjson(stream), SAMPLE))
        names: dict[str, None] = {}
        for row in sample:
            if isinstance(row.values, dict):
                names |= dict.fromkeys(row.values)
        return Layout(NDJSON, tuple(names), sample=sample)
    delimiter = delimiter or _delimiter(head.decode(encoding, "replace"))
    reader = _csv(stream, delimiter, encoding)
    header = next(reader, None)
    if header is None or not isinstance(header.values, list):
        raise ConfigError("the first line cannot be read as a header of columns")
    columns = tuple(name.strip() for name in header.values)
    twice = sorted({name for name in columns if columns.count(name) > 1 or not name})
    if twice:
        raise ConfigError(f"the header has the column {twice[0]!r} more than once, or without a name")
    return Layout(CSV, columns, delimiter, encoding, list(islice(_sized(reader, len(columns)), SAMPLE)))


def rows(stream: io.BufferedReader, form: Layout) -> Iterator[Row]:
    """Yields all rows, from the start."""
    if form.kind == NDJSON:
        return _ndjson(stream)
    reader = _csv(stream, form.delimiter, form.encoding)
    next(reader, None)
    return _sized(reader, len(form.columns))


def _delimiter(head: str) -> str:
    first = head.split("\n", 1)[0]
    return max(DELIMITERS, key=first.count)


def _csv(stream: io.BufferedReader, delimiter: str, encoding: str) -> Iterator[Row]:
    csv.field_size_limit(MAX_LINE)
    # bytes outside this encoding become surrogates, and the check of their line refuses them
    text = io.TextIOWrapper(stream, encoding=encoding, errors="surrogateescape", newline="")
    reader = csv.reader(text, delimiter=delimiter, strict=False)
    line = 1
    while True:
        try:
            values = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield Row(line, None, f"cannot be read as CSV: {error}")
        else:
            if values:
                yield Row(line, values)
        line = reader.line_num + 1


def _sized(rows: Iterator[Row], columns: int) -> Iterator[Row]:
    for row in rows:
        values = row.values
        if values is None:
            yield row
        elif len(values) != columns:
            problem = f"has {len(values)} fields, the header has {columns}"
            yield Row(row.line, None, problem, ",".join(values)[:1000])
        else:
            yield row


def _ndjson(stream: io.BufferedReader) -> Iterator[Row]:
    line = 0
    while raw := stream.readline(MAX_LINE + 1):
        line += 1
        if len(raw) > MAX_LINE:
            yield Row(line, None, f"is longer than {MAX_LINE} bytes", raw[:1000].decode(errors="replace"))
            while raw and not raw.endswith(b"\n"):
                raw = stream.readline(MAX_LINE)
            continue
        raw = raw.removeprefix(b"\xef\xbb\xbf") if line == 1 else raw
        if not raw.strip():
            continue
        try:
            value = orjson.loads(raw)
        except orjson.JSONDecodeError as error:
            yield Row(line, None, f"is not JSON: {error}", raw[:1000].decode(errors="replace"))
            continue
        if isinstance(value, dict):
            yield Row(line, value)
        else:
            yield Row(line, None, "is no JSON object", raw[:1000].decode(errors="replace"))
