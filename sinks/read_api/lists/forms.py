"""A request's parameters of a list's format in; rows of the API as lines of NDJSON or CSV out; pure.

CSV always has the columns of the list's shape. The ``MOST_SPREAD`` most frequent entries of attributes, consents and
properties in the first rows get columns of their own; the object's own column has the other entries as JSON.

A cell that a spreadsheet would run as a formula begins with an apostrophe; numbers and phone numbers stay as they are.
"""

import csv
import io
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from schemas.errors import ApiError
from schemas.limits import CSV, JSON, LIST_FORMS, NDJSON

MEDIA = {
    "text/csv": CSV,
    "application/x-ndjson": NDJSON,
    "application/ndjson": NDJSON,
    "application/jsonl": NDJSON,
    "application/json": JSON,
    "*/*": JSON,
    "application/*": JSON,
}
SPREAD = frozenset({"attributes", "consents", "properties"})
MOST_SPREAD = 100
_FORMULA = re.compile(r"\s*[=+\-@\t\r\uFF0B\uFF0D\uFF1D\uFF20]")
_PLAIN = re.compile(r"[+-][0-9][0-9.,]*")
_QUALITY = re.compile(r";\s*q=([01](?:\.[0-9]{0,3})?)\s*$")
_MOST_RANGES = 20


def form_of(query: Mapping[str, str], accept: str) -> str:
    """A member of ``LIST_FORMS``: ``format``, else the preference of ``Accept``; raises ``ApiError`` (422)."""
    requested = query.get("format")
    if requested is not None:
        if requested not in LIST_FORMS:
            raise ApiError("invalid_field", f"format must be one of {', '.join(LIST_FORMS)}", "format")
        return requested
    best, accepted = 0.0, JSON
    for part in accept.split(",")[:_MOST_RANGES]:
        quality = _QUALITY.search(part)
        worth = float(quality[1]) if quality else 1.0
        form = MEDIA.get(part.partition(";")[0].strip().lower())
        if form is not None and worth > best:
            best, accepted = worth, form
    return accepted


class NdjsonLines:
    media_type = "application/x-ndjson"

    def head(self, _rows: Sequence[Any]) -> bytes:
        return b""

    def lines(self, rows: Sequence[Any]) -> bytes:
        return b"".join(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) for row in rows)


class CsvLines:
    """``head`` is called once, with the first rows."""

    media_type = "text/csv; charset=utf-8"

    def __init__(self, columns: list[str]) -> None:
        self._names = columns
        self._spread: list[tuple[str, str]] = []

    def head(self, rows: Sequence[Any]) -> bytes:
        first = _plain(rows)
        for place in self._names:
            if place in SPREAD:
                counts = Counter(name for row in first for name in row.get(place) or ())
                self._spread += [(place, name) for name, _ in counts.most_common(MOST_SPREAD)]
        return _line([[*self._names, *(f"{place}.{name}" for place, name in self._spread)]])

    def lines(self, rows: Sequence[Any]) -> bytes:
        return _line([self._cells(row) for row in _plain(rows)])

    def _cells(self, row: dict[str, Any]) -> list[str]:
        left = {place: dict(row.get(place) or {}) for place in SPREAD}
        spread = [_cell(left[place].pop(name, None)) for place, name in self._spread]
        return [*(_cell(left[name] if name in SPREAD else row.get(name)) for name in self._names), *spread]


def _plain(rows: Sequence[Any]) -> Any:
    """Values alone: of a row parts may be JSON already."""
    return orjson.loads(orjson.dumps(list(rows)))


def _line(rows: Sequence[Sequence[str]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


def _cell(value: Any) -> str:
    if value is None or value in ([], {}):
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str):
        return orjson.dumps(value).decode()
    return f"'{value}" if _FORMULA.match(value) and not _PLAIN.fullmatch(value) else value
