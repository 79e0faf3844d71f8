"""Rows and lines in; a table for a person at a terminal, tab-separated text in a pipe, or JSON lines, out.

Results go to stdout, everything else (progress, hints, errors) to stderr, so that a pipe holds results alone.
"""

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson
from rich.console import Console
from rich.table import Table
from rich.text import Text

OK, FINDINGS, USAGE, UNREACHABLE, REFUSED = 0, 1, 2, 3, 4
"""Exit statuses: 1 means that the command worked and found a fault."""


def print_json(value: Any) -> None:
    """Print a value as a line of JSON."""
    sys.stdout.write(orjson.dumps(value, default=str).decode() + "\n")
    sys.stdout.flush()


def note(text: str) -> None:
    """A line for the person, beside the results."""
    sys.stderr.write(printable(text) + "\n")
    sys.stderr.flush()


def print_rows(rows: Iterable[Mapping[str, Any]], columns: Sequence[str], *, as_json: bool) -> int:
    """Returns how many there were. JSON has all fields of a row, the table only the columns."""
    shown = list(rows) if not as_json and sys.stdout.isatty() else rows
    count = 0
    if as_json or not sys.stdout.isatty():
        if not as_json:
            sys.stdout.write("\t".join(columns) + "\n")
        for row in shown:
            count += 1
            if as_json:
                print_json(row)
            else:
                sys.stdout.write("\t".join(_cell(row.get(name)) for name in columns) + "\n")
        sys.stdout.flush()
        return count
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns:
        table.add_column(name, overflow="fold")
    for row in shown:
        count += 1
        table.add_row(*(Text(_cell(row.get(name))) for name in columns))
    Console().print(table)
    return count


def printable(text: str) -> str:
    """Without characters that move a terminal's cursor or change its colours: names come from outside."""
    return "".join(c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str | int | float):
        return printable(str(value)).replace("\t", " ").replace("\n", " ")
    return printable(orjson.dumps(value, default=str).decode())
