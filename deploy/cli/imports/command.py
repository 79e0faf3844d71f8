"""`headwater import contacts|events FILE` in; the file's rows in Headwater out."""

from typing import Annotated, Any

import typer

from deploy.cli.imports import mapping
from deploy.cli.imports.batches import MAX_ROWS
from deploy.cli.imports.one_file import import_all
from deploy.cli.imports.plan import ImportPlan, chosen
from deploy.client.session import commands, examples

cli = commands("import", "Contacts and events out of CSV or NDJSON files, packed by gzip or zstd or not, or stdin (-).")

Files = Annotated[list[str], typer.Argument(help="CSV or NDJSON, packed or not; - is stdin.", metavar="FILE...")]
Map = Annotated[list[str] | None, typer.Option("--map", help="FIELD=COLUMN, such as email=E-Mail. May be repeated.")]
Ignore = Annotated[list[str] | None, typer.Option("--ignore", help="A column to leave out. May be repeated.")]
Text = Annotated[list[str] | None, typer.Option("--text", help="A column whose numbers stay text. May be repeated.")]
Format = Annotated[str, typer.Option("--format", help="csv or ndjson, where the first bytes do not tell.")]
Delimiter = Annotated[str, typer.Option(help="Of a CSV file, where its header does not tell.")]
Encoding = Annotated[str, typer.Option(help="Of a CSV file.")]
AsOf = Annotated[str, typer.Option(help="Time of rows without one, ISO 8601; default: now.")]
DryRunFlag = Annotated[bool, typer.Option("--dry-run", help="Check every row, show the first, send nothing.")]
Restart = Annotated[bool, typer.Option("--restart", help="Begin anew in place of going on.")]
Rows = Annotated[int, typer.Option("--batch", min=1, max=MAX_ROWS, help="Rows in one request.")]


def add_to(app: typer.Typer) -> None:
    app.add_typer(cli)


@cli.command(
    epilog=examples(
        "headwater import contacts people.csv --dry-run",
        "headwater import contacts people.csv --map external_id=Customer --map consents.email_marketing=Newsletter",
    )
)
def contacts(  # noqa: PLR0917 - a command line's words
    files: Files,
    map_: Map = None,
    ignore: Ignore = None,
    text: Text = None,
    format_: Format = "",
    delimiter: Delimiter = "",
    encoding: Encoding = "utf-8-sig",
    as_of: AsOf = "",
    dry_run: DryRunFlag = False,
    restart: Restart = False,
    batch: Rows = MAX_ROWS,
) -> None:
    """Create and update contacts; a second run of the same file changes nothing."""
    _import(
        files,
        kind=mapping.CONTACTS,
        words=map_,
        ignored=ignore,
        text=text,
        format=format_,
        delimiter=delimiter,
        encoding=encoding,
        as_of=as_of,
        dry_run=dry_run,
        restart=restart,
        batch=batch,
    )


@cli.command(
    epilog=examples(
        "headwater import events orders.ndjson.gz",
        "headwater import events orders.csv --type order_completed --map user_id=customer --map timestamp=day",
    )
)
def events(  # noqa: PLR0917 - a command line's words
    files: Files,
    map_: Map = None,
    ignore: Ignore = None,
    text: Text = None,
    type_: Annotated[str, typer.Option("--type", help="Of rows that do not say theirs.")] = "",
    format_: Format = "",
    delimiter: Delimiter = "",
    encoding: Encoding = "utf-8-sig",
    as_of: AsOf = "",
    dry_run: DryRunFlag = False,
    restart: Restart = False,
    batch: Rows = MAX_ROWS,
) -> None:
    """Send events; a second run of the same file changes no count."""
    _import(
        files,
        kind=mapping.EVENTS,
        words=map_,
        ignored=ignore,
        text=text,
        event_type=type_,
        format=format_,
        delimiter=delimiter,
        encoding=encoding,
        as_of=as_of,
        dry_run=dry_run,
        restart=restart,
        batch=batch,
    )


def _import(
    files: list[str], words: list[str] | None, ignored: list[str] | None, text: list[str] | None, **rest: Any
) -> None:
    plan = ImportPlan(chosen=chosen(words or ()), ignored=ignored or (), text=text or (), **rest)
    import_all(files, plan)
