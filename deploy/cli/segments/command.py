"""`headwater segments pull|plan|apply` in; a file of the segments, its changes, or their application, out."""

from pathlib import Path
from typing import Annotated

import typer

from deploy.cli.segments.changes import STRAY, SegmentChange, changes, definitions_of, make, present
from deploy.cli.segments.document import DocumentError, SegmentsFile, dump, lists_named, load
from deploy.cli.segments.lists import NamedListChange, list_changes, make_list, present_lists
from deploy.client.api import ApiClient
from deploy.client.config import ConfigError
from deploy.client.output import FINDINGS, note, print_json, print_rows
from deploy.client.session import OPTIONS, api, commands, examples, run

cli = commands("segments", "Segments as a YAML file: pull it, see what would change, apply it.")
COLUMNS = ("action", "segment", "members_now", "members_then")

Planned = SegmentChange | NamedListChange
File = Annotated[Path, typer.Argument(help="Such as segments.yaml.")]
Delete = Annotated[bool, typer.Option("--delete", help="Remove the segments that the file does not have.")]
Out = Annotated[Path | None, typer.Option("--output", "-o", help="Output file; default: stdout.")]


def add_to(app: typer.Typer) -> None:
    app.add_typer(cli)


@cli.command(epilog=examples("headwater segments pull -o segments.yaml"))
def pull(output: Out = None) -> None:
    """Write all segments, and the named lists they use; rules name other segments by name."""

    async def work() -> str:
        async with api() as client:
            definitions = definitions_of(await present(client))
            used = set().union(*(lists_named(definition.rule) for definition in definitions.values()))
            return dump(definitions, await present_lists(client, used))

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

    async def work() -> list[Planned]:
        async with api() as client:
            return (await _planned(client, definitions, remove=delete))[0]

    planned = run(work())
    _show(planned)
    if any(change.action != STRAY for change in planned):
        raise typer.Exit(FINDINGS)


@cli.command(epilog=examples("headwater segments apply segments.yaml"))
def apply(file: File, delete: Delete = False) -> None:
    """Make lists and segments match the file; checks each rule first, except names of lists to be created."""
    definitions = _read(file)

    async def work() -> list[Planned]:
        async with api() as client:
            planned, ids = await _planned(client, definitions, remove=delete)
            for at, change in enumerate(planned):
                try:
                    if isinstance(change, NamedListChange):
                        await make_list(client, change)
                    else:
                        await make(client, change, ids)
                except BaseException:
                    done = ", ".join(earlier.name for earlier in planned[:at]) or "nothing"
                    note(f"{change.name} failed; done before it: {done}. The same command goes on.")
                    raise
            return planned

    _show(run(work()))


async def _planned(
    client: ApiClient, definitions: SegmentsFile, *, remove: bool
) -> tuple[list[Planned], dict[str, str]]:
    """Returns the changes, lists first, and the ids of existing segments by name."""
    there = await present(client)
    used = set().union(*(lists_named(definition.rule) for definition in definitions.segments.values()))
    lists_there = await present_lists(client, used | definitions.lists.keys())
    lists = list_changes(definitions.lists, lists_there, used)
    named = {change.definition.name for change in lists}
    segments = await changes(client, definitions.segments, there, remove=remove, new_lists=named)
    return [*lists, *segments], {name: str(segment["id"]) for name, segment in there.items()}


def _show(planned: list[Planned]) -> None:
    if planned or OPTIONS.get().as_json:
        print_rows([change.to_row() for change in planned], COLUMNS, as_json=OPTIONS.get().as_json)
    if not any(change.action != STRAY for change in planned):
        note("nothing to change")
    if OPTIONS.get().as_json and not planned:
        print_json({"action": "none"})


def _read(file: Path) -> SegmentsFile:
    try:
        return load(file.read_text(encoding="utf-8"))
    except DocumentError as error:
        raise ConfigError(f"{file}: {error}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} cannot be read: {error}") from error
