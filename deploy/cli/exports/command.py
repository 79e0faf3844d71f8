"""`headwater export contacts|events|segment|person` in; the API's objects, in a file or on stdout, out."""

import contextlib
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import typer

from deploy.cli.exports import pages
from deploy.cli.exports.writers import writer
from deploy.client.api import ApiClient
from deploy.client.config import ConfigError
from deploy.client.output import note
from deploy.client.session import api, commands, examples, run

FORMS = ("ndjson", "csv", "parquet")
PATIENCE = 60
TOLD_EVERY_S = 10.0

cli = commands("export", "Contacts, events, a segment's contacts, or all of one person, page by page.")

Form = Annotated[str, typer.Option("--format", help="ndjson, csv or parquet; else as the file's name ends.")]
Out = Annotated[Path | None, typer.Option("--output", "-o", help="Output file; default: stdout.")]
Since = Annotated[str, typer.Option("--from", help="Of the event's own time, ISO 8601.")]
Until = Annotated[str, typer.Option("--to", help="Up to this time, without it.")]

Pages = Callable[[ApiClient], AsyncIterator[dict[str, Any]]]


def add_to(app: typer.Typer) -> None:
    app.add_typer(cli)


@cli.command(
    epilog=examples(
        "headwater export contacts --format csv -o people.csv", "headwater export contacts --updated-since 2026-11-01"
    )
)
def contacts(
    updated_since: Annotated[str, typer.Option(help="ISO 8601.")] = "", format_: Form = "", output: Out = None
) -> None:
    """All contacts."""
    filters = {"updated_since": updated_since} if updated_since else {}
    _export(lambda client: pages.contacts(client, filters), "contacts", format_, output)


@cli.command(epilog=examples("headwater export events --type order_completed --from 2026-11-01 -o orders.parquet"))
def events(
    type_: Annotated[str, typer.Option("--type", help="Of this type alone.")] = "",
    from_: Since = "",
    to: Until = "",
    format_: Form = "",
    output: Out = None,
) -> None:
    """All events, each with the contact that it belongs to today."""
    filters = {name: value for name, value in (("type", type_), ("from", from_), ("to", to)) if value}
    _export(lambda client: pages.events(client, filters), "events", format_, output)


@cli.command(epilog=examples("headwater export segment Regulars --format csv"))
def segment(
    name: Annotated[str, typer.Argument(help="Its name or its id.")], format_: Form = "", output: Out = None
) -> None:
    """The contacts that are in a segment."""
    _export(lambda client: pages.members(client, name), "contacts", format_, output)


@cli.command(epilog=examples("headwater export person external_id:u1 -o u1.ndjson"))
def person(
    name: Annotated[str, typer.Argument(help="A contact's id, or type:value such as email:a@b.c.")],
    output: Out = None,
) -> None:
    """Everything of one person: contact, identity, segments, consents and events, a JSON line each."""
    _export(lambda client: pages.person(client, name), "person", "ndjson", output)


def _form(option: str, output: Path | None) -> str:
    """Returns the export's format; raises ``ConfigError``."""
    ending = output.suffix.removeprefix(".") if output else ""
    form = option or {"jsonl": "ndjson", "json": "ndjson"}.get(ending, ending if ending in FORMS else "ndjson")
    if form not in FORMS:
        raise ConfigError(f"--format {form!r}: one of {', '.join(FORMS)}")
    if form == "parquet" and output is None:
        raise ConfigError("parquet is no text: say a file with -o")
    return form


def _export(read: Pages, kind: str, format_name: str, output: Path | None) -> None:
    form = _form(format_name, output)
    began = reported_at = time.monotonic()
    count = 0

    async def work(file: BinaryIO) -> None:
        nonlocal count, reported_at
        to = writer(file, form, kind)
        try:
            async with api(patience=PATIENCE) as client:
                async for value in read(client):
                    to.write(value)
                    count += 1
                    if time.monotonic() - reported_at > TOLD_EVERY_S:
                        reported_at = time.monotonic()
                        note(f"{count:,} so far, {count / (reported_at - began):,.0f}/s")
            to.close()
        finally:
            to.release()

    with _opened(output) as file:
        run(work(file))
    note(f"{count:,} in {time.monotonic() - began:.1f} s" + (f": {output}" if output else ""))


@contextlib.contextmanager
def _opened(output: Path | None) -> Iterator[BinaryIO]:
    """Opens a file for its owner alone, as it holds personal data; a complete file gets its name."""
    if output is None:
        yield sys.stdout.buffer
        return
    partial = output.with_name(output.name + ".partial")
    try:
        partial.touch(mode=0o600)
        with partial.open("wb") as file:
            yield file
        partial.replace(output)
    except OSError as error:
        raise ConfigError(f"{output} cannot be written: {error.strerror}") from error
    finally:
        partial.unlink(missing_ok=True)
