"""`headwater environments` in; the workspace's environments, created or listed through the API, out."""

from typing import Annotated, Any

import typer

from deploy.client.output import print_json, print_rows
from deploy.client.session import OPTIONS, api, commands, examples, run

cli = commands("environments", "Environments: make, list. Needs a key with the scope admin.")
ForTests = Annotated[bool, typer.Option("--test", help="For tests of tracking: refusals are kept, counts reset.")]
COLUMNS = ("id", "number", "kind", "created_at")


def add_to(app: typer.Typer) -> None:
    app.add_typer(cli)


@cli.command(epilog=examples("headwater environments create ci --test"))
def create(name: str, test: ForTests = False) -> None:
    """Make an environment."""

    async def work() -> dict[str, Any]:
        async with api() as client:
            return await client.call("POST", "/v1/environments", {"id": name, "kind": "test" if test else "live"})

    made = run(work())
    if OPTIONS.get().as_json:
        print_json(made)
    else:
        print(f"{made['id']} ({made['kind']}), number {made['number']}")


@cli.command("list", epilog=examples("headwater environments list"))
def show() -> None:
    """Show the workspace's environments."""

    async def work() -> list[dict[str, Any]]:
        async with api() as client:
            return [environment async for environment in client.listed("/v1/environments")]

    print_rows(run(work()), COLUMNS, as_json=OPTIONS.get().as_json)
