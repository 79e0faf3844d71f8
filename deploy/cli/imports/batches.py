"""Rows in; request bodies of bounded size out, each row with an id that follows from file and line.

A row's id is the file's digest and its line, so the second run of a file sends the same ids, and the API counts them
once. Ids sort by line: of two rows about one contact at one time, the later line wins.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson

from deploy.cli.imports.mapping import Mapper
from deploy.cli.imports.rows import Row

MAX_ROWS, MAX_BYTES = 1000, 3 << 20
SHOWN = 1000


@dataclass(frozen=True, slots=True)
class RefusedRow:
    """A row that the API or a check refused; ``row`` is JSON."""

    line: int
    field: str | None
    reason: str
    row: bytes

    def to_json(self) -> bytes:
        shown = {"line": self.line, "field": self.field, "reason": self.reason, "row": orjson.Fragment(self.row)}
        return orjson.dumps(shown, option=orjson.OPT_APPEND_NEWLINE)


@dataclass(slots=True)
class RowBatch:
    """``items`` are rows in the API's form, as JSON; ``lines`` are their lines in the file."""

    items: list[bytes] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    problems: list[RefusedRow] = field(default_factory=list)
    """Lines that are no rows."""
    last_line: int = 0
    size: int = 0

    @property
    def rows(self) -> int:
        return len(self.items) + len(self.problems)

    def body(self, label: str) -> bytes:
        return b'{"%s":[' % label.encode() + b",".join(self.items) + b"]}"

    def halves(self) -> tuple["RowBatch", "RowBatch"]:
        """Splits the batch for an API with a lower limit."""
        at = len(self.items) // 2
        return RowBatch(self.items[:at], self.lines[:at]), RowBatch(self.items[at:], self.lines[at:])


def batches(
    rows: Iterable[Row], mapper: Mapper, digest: str, *, after: int, most: int = MAX_ROWS
) -> Iterator[RowBatch]:
    """Yields batches of the rows behind the line ``after``."""
    batch, prefix = RowBatch(), f"imp_{digest[:24]}_"
    for row in rows:
        if row.line <= after:
            continue
        if batch.rows >= most or batch.size >= MAX_BYTES:
            yield batch
            batch = RowBatch()
        batch.last_line = row.line
        value = mapped(row, mapper, prefix)
        if isinstance(value, RefusedRow):
            batch.problems.append(value)
            batch.size += len(value.row)
        else:
            batch.items.append(value)
            batch.lines.append(row.line)
            batch.size += len(value)
    if batch.rows:
        yield batch


def mapped(row: Row, mapper: Mapper, prefix: str) -> bytes | RefusedRow:
    """Returns the row in the API's form, or the reason of its refusal."""
    if row.values is None:
        return RefusedRow(row.line, None, row.problem, _text(row.text))
    value: dict[str, Any]
    value = mapper.of_list(row.values) if isinstance(row.values, list) else mapper.of_object(row.values)
    if value.get("event_id") is None:
        value["event_id"] = f"{prefix}{row.line:010d}"
    try:
        return orjson.dumps(value)
    except TypeError:
        # orjson refuses surrogates: bytes outside the file's encoding
        return RefusedRow(row.line, None, "is not in the file's encoding: say --encoding", _text(str(value)))


def _text(text: str) -> bytes:
    return orjson.dumps(text[:SHOWN].encode("utf-8", "replace").decode())
