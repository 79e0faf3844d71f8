"""A plan and files in; their rows in Headwater, and an account of each row, out."""

import asyncio
import datetime as dt
import hashlib
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import orjson
import typer

from deploy.cli.imports import checkpoint as checkpoints
from deploy.cli.imports import mapping, rows, source
from deploy.cli.imports.batches import batches
from deploy.cli.imports.checkpoint import Checkpoint, Totals
from deploy.cli.imports.plan import ImportPlan
from deploy.cli.imports.progress import Progress, account, told_mapping
from deploy.cli.imports.refused_file import RefusedFile
from deploy.cli.imports.transfer import ImportStalledError, Transfer
from deploy.client.config import ConfigError, api_access
from deploy.client.output import FINDINGS, note, print_json
from deploy.client.session import OPTIONS, api, run

PATIENCE = 60
SHOWN_ROWS = 5
SAVE_EVERY_S = 1.0


def import_all(files: list[str], plan: ImportPlan) -> None:
    """Imports all files; raises ``ConfigError``, and ends with its own status if the API refused a row."""
    if files.count(source.STDIN) > 1 or (source.STDIN in files and len(files) > 1):
        raise ConfigError("stdin is one file, and the only one")
    well = True
    for name in files:
        with source.opened(name) as file:
            well &= _one_file(file, plan)
    if not well:
        raise typer.Exit(FINDINGS)


def _one_file(file: source.Source, plan: ImportPlan) -> bool:
    """Imports one file; returns whether the API accepted every row."""
    form = rows.layout(file.unpacked(), plan.format, plan.delimiter, plan.encoding)
    columns = _columns(form, plan)
    told_mapping(file.name, columns, plan.kind, as_json=OPTIONS.get().as_json)
    if plan.dry_run:
        return _dry_run(file, form, columns, plan)
    where = Path(f"{file.path}{checkpoints.SUFFIX}") if file.path else None
    state = _begin(file, columns, plan, where)
    constants = _constants(plan, columns, state.as_of)
    mapper = mapping.Mapper(plan.kind, columns, constants)
    refused = RefusedFile(Path(f"{file.path or file.name}{checkpoints.REFUSED_SUFFIX}"), state.refused_bytes)
    began, before = time.monotonic(), state.totals.sent
    saved = began
    with refused, Progress(file, state) as progress:

        def settled() -> None:
            nonlocal saved
            progress.show()
            if where and time.monotonic() - saved > SAVE_EVERY_S:
                saved = time.monotonic()
                checkpoints.save(where, state)

        async def work() -> None:
            async with api(patience=PATIENCE) as client:
                stream = file.unpacked()
                pending = batches(rows.rows(stream, form), mapper, file.digest, after=state.line, most=plan.batch)
                await Transfer(client, plan.kind, state, refused.open, settled).run(pending)

        try:
            run(work())
        except (ImportStalledError, KeyboardInterrupt, asyncio.CancelledError) as error:
            if where:
                checkpoints.save(where, state)
            note(str(error) or f"stopped behind line {state.line}: the same command goes on from there")
            raise typer.Exit(FINDINGS) from error
        except BaseException:
            if where:
                checkpoints.save(where, state)
            raise
    if where:
        where.unlink(missing_ok=True)
    return account(file.name, state.totals, refused.path, time.monotonic() - began, before)


def _columns(form: rows.Layout, plan: ImportPlan) -> list[mapping.ImportColumn]:
    if form.kind == rows.CSV:
        samples: list[Any] = [row.values for row in form.sample if row.values is not None]
    else:
        samples = [
            [row.values.get(name) for name in form.columns] for row in form.sample if isinstance(row.values, dict)
        ]
    try:
        return mapping.guess(
            plan.kind,
            form.columns,
            samples,
            is_text=form.kind == rows.CSV,
            chosen=plan.chosen,
            ignored=plan.ignored,
            text=plan.text,
        )
    except mapping.MappingError as error:
        raise ConfigError(str(error)) from error


def _constants(plan: ImportPlan, columns: list[mapping.ImportColumn], as_of: str) -> dict[str, Any]:
    constants: dict[str, Any] = {"timestamp": as_of}
    if plan.event_type:
        constants["type"] = plan.event_type
    try:
        mapping.Mapper(plan.kind, columns, constants)
    except mapping.MappingError as error:
        raise ConfigError(str(error)) from error
    return constants


def _begin(
    file: source.Source, columns: list[mapping.ImportColumn], plan: ImportPlan, where: Path | None
) -> Checkpoint:
    """Returns the earlier run's position, or the start; raises ``ConfigError`` if that run was another import."""
    access = api_access(OPTIONS.get())
    parameters = [plan.kind, access.url, access.environment, plan.event_type, plan.as_of]
    purpose = hashlib.sha256(orjson.dumps([parameters, [(c.name, c.target, c.form) for c in columns]])).hexdigest()
    checkpoint = None if where is None or plan.restart else checkpoints.load(where)
    if checkpoint is not None and (checkpoint.digest, checkpoint.purpose) != (file.digest, purpose):
        what = (
            "the file has changed" if checkpoint.digest != file.digest else "this is another mapping, address or time"
        )
        raise ConfigError(f"{what} since {where} was written: --restart begins anew")
    if checkpoint is not None:
        note(f"going on behind line {checkpoint.line} ({checkpoint.totals.sent} rows are settled)")
        return checkpoint
    now = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
    return Checkpoint(digest=file.digest, purpose=purpose, as_of=plan.as_of or now, totals=Totals())


def _dry_run(file: source.Source, form: rows.Layout, columns: list[mapping.ImportColumn], plan: ImportPlan) -> bool:
    from deploy.cli.imports.dry_run import DryRun as Check  # noqa: PLC0415 - it loads the edge's code

    now = plan.as_of or dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
    mapper = mapping.Mapper(plan.kind, columns, _constants(plan, columns, now))
    check, checked, refused = Check(plan.kind), 0, 0
    shown: Iterator[bytes]
    for batch in batches(rows.rows(file.unpacked(), form), mapper, file.digest, after=0, most=plan.batch):
        shown = islice(batch.items, max(0, SHOWN_ROWS - checked))
        for item in shown:
            print_json(orjson.loads(item))
        checked += batch.rows
        for row in check.refused(batch):
            refused += 1
            if refused <= SHOWN_ROWS:
                note(f"line {row.line}: {row.field or 'row'}: {row.reason}")
    totals = {"file": file.name, "checked": checked, "refused": refused, "warnings": check.warnings}
    if OPTIONS.get().as_json:
        print_json(totals)
    else:
        summary = f"{refused:,} would be refused, {check.warnings:,} would get a warning"
        note(f"{checked:,} rows checked, {summary}; nothing was sent")
    return not refused
