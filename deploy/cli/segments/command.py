"""`headwater segments pull|plan|apply` in; segments as a file, the changes by a file, and their application, out."""

from pathlib import Path
from typing import Annotated

import typer

from deploy.cli.segments.changes import STRAY, SegmentChange, changes, definitions_of, make, present
from deploy.cli.segments.document import DocumentError, SegmentDefinition, dump, load
from deploy.client.config import ConfigError
from deploy.client.output import FINDINGS, note, print_json, print_rows
from deploy.client.session import OPTIONS, api, commands, examples, run

cli = commands("segments", "Segments as a YAML file: pull it, see what would change, apply it.")
COLUMNS = ("action", "segment", "members_now", "members_then")

File = Annotated[Path, typer.Argument(help="Such as segments.yaml.")]
Delete = Annotated[bool, typer.Option("--delete", help="Remove the segments that the file does not have.")]
Out = Annotated[Path | None, typer.Option("--output", "-o", help="Output file; default: stdout.")]


@cli.command(epilog=examples("headwater segments pull -o segments.yaml"))
def pull(output: Out = None) -> None:
    """Write the present segments; rules name other segments by name."""

    async def work() -> str:
        async with api() as client:
            return dump(definitions_of(await present(client)))

    text = run(work())
    if output is None:
        print(text, end="")
        return
    try:
        output.write_text(text)
    except OSError as error:
        raise ConfigError(f"{output} cannot be written: {error.strerror}") from error
    note(f"{output} written")


@cli.command(epilog=examples("headwater segments plan segments.yaml", "headwater segments plan segments.yaml --delete"))
def plan(file: File, delete: Delete = False) -> None:
    """Show the changes that the file makes, and for how many contacts; exit status 1 if there are any."""
    definitions = _read(file)

    async def work() -> list[SegmentChange]:
        async with api() as client:
            return await changes(client, definitions, await present(client), remove=delete)

    planned = run(work())
    _show(planned)
    if any(change.action != STRAY for change in planned):
        raise typer.Exit(FINDINGS)


@cli.command(epilog=examples("headwater segments apply segments.yaml"))
def apply(file: File, delete: Delete = False) -> None:
    """Make the segments as the file says; every rule is checked before the first is written."""
    definitions = _read(file)

    async def work() -> list[SegmentChange]:
        async with api() as client:
            there = await present(client)
            planned = await changes(client, definitions, there, remove=delete)
            ids = {name: str(segment["id"]) for name, segment in there.items()}
            for at, change in enumerate(planned):
                try:
                    await make(client, change, ids)
                except BaseException:
                    done = ", ".join(earlier.name for earlier in planned[:at]) or "nothing"
                    note(f"{change.name} failed; done before it: {done}. The same command goes on.")
                    raise
            return planned

    _show(run(work()))


def _show(planned: list[SegmentChange]) -> None:
    if planned or OPTIONS.get().as_json:
        print_rows([change.to_row() for change in planned], COLUMNS, as_json=OPTIONS.get().as_json)
    if not any(change.action != STRAY for change in planned):
        note("nothing to change")
    if OPTIONS.get().as_json and not planned:
        print_json({"action": "none"})


def _read(file: Path) -> dict[str, SegmentDefinition]:
    try:
        return load(file.read_text(encoding="utf-8"))
    except DocumentError as error:
        raise ConfigError(f"{file}: {error}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} cannot be read: {error}") from error
