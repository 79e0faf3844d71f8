"""The progress of an import in; a bar at a terminal, a line every ten seconds elsewhere, out, on stderr."""

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from rich import progress as bars
from rich.console import Console

from deploy.cli.imports.checkpoint import Checkpoint, Totals
from deploy.cli.imports.mapping import ImportColumn
from deploy.cli.imports.source import Source
from deploy.client.output import note, print_json, printable
from deploy.client.session import OPTIONS

EVERY_S = 10.0
WIDTH = 28


class Progress:
    """Counts read rows and settled rows."""

    def __init__(self, source: Source, checkpoint: Checkpoint) -> None:
        self._source = source
        self._checkpoint = checkpoint
        self._began, self._first = time.monotonic(), checkpoint.totals.sent
        self._told = self._began
        self._bar = bars.Progress(
            bars.TextColumn("{task.description}"),
            bars.BarColumn(),
            bars.TaskProgressColumn(),
            bars.TimeRemainingColumn(),
            console=Console(stderr=True),
            disable=not sys.stderr.isatty(),
        )

    def __enter__(self) -> Self:
        self._bar.start()
        self._task = self._bar.add_task("reading", total=self._source.size)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def show(self) -> None:
        totals, now = self._checkpoint.totals, time.monotonic()
        rate = round((totals.sent - self._first) / max(now - self._began, 0.001))
        text = f"{totals.sent:,} rows, {rate:,}/s, {totals.refused:,} refused"
        self._bar.update(self._task, completed=self._source.done, description=text)
        if self._bar.disable and now - self._told > EVERY_S:
            self._told = now
            share = self._source.done / max(self._source.size, 1)
            note(f"{text} ({share:.0%} of the file is read)")


def told_mapping(name: str, columns: Sequence[ImportColumn], kind: str, *, as_json: bool) -> None:
    """Prints the field of each column, unless the output is JSON lines."""
    if as_json:
        return
    note(f"{name}: {kind}")
    for column in columns:
        target = column.target or "- (left out)"
        example = printable(str(column.example if column.example is not None else "")).replace("\n", " ")
        note(f"  {column.name[:WIDTH]:<{WIDTH}} -> {target[:WIDTH]:<{WIDTH}} {column.form:<8} {example[:40]}")


def account(name: str, totals: Totals, refused: Path, seconds: float, before: int) -> bool:
    """Prints the outcomes of all rows, ``before`` of them settled earlier; returns whether the API accepted all."""
    rate = round((totals.sent - before) / seconds) if seconds else 0
    figures = {"file": name, "sent": totals.sent, "stored": totals.stored, "duplicate": totals.duplicate}
    figures |= {"refused": totals.refused, "warnings": totals.warnings, "conflicts": totals.conflicts}
    figures["resent"] = totals.resent
    if OPTIONS.get().as_json:
        print_json(figures | {"seconds": round(seconds, 1), "rows_per_s": rate})
        return not totals.refused
    parts = f"stored {totals.stored:,} + duplicate {totals.duplicate:,} + refused {totals.refused:,}"
    print(f"sent {totals.sent:,} = {parts}   ({seconds:.1f} s, {rate:,} rows/s)")
    if totals.refused:
        note(f"why each was refused: {refused}")
    if totals.warnings:
        note(f"{totals.warnings:,} rows were taken with a warning, such as an invalid address")
    if totals.resent:
        note(f"{totals.resent:,} of the duplicates were sent more than once by this import, and are stored once")
    if totals.conflicts:
        note(f"{totals.conflicts:,} duplicates had an id that another event has: their content was not stored")
    return not totals.refused
