"""`headwater keys` in; the workspace's keys, created, listed or revoked through the API, out."""

from collections.abc import AsyncIterator
from typing import Annotated, Any

import typer

from deploy.client.api import part
from deploy.client.output import note, print_json, print_rows
from deploy.client.session import OPTIONS, api, commands, examples, run

cli = commands("keys", "API keys: make, list, revoke. Needs a key with the scope admin.")
COLUMNS = ("id", "kind", "environment", "scopes", "last_used_at", "name")


def add_to(app: typer.Typer) -> None:
    app.add_typer(cli)


@cli.command(
    epilog=examples(
        "headwater keys create 'web shop' --public",
        "headwater keys create importer --scope contacts:write --scope events:ingest --json",
    )
)
def create(
    name: str,
    scope: Annotated[list[str] | None, typer.Option(help="What it may do; may be given more than once.")] = None,
    public: Annotated[bool, typer.Option("--public", help="A key for browsers: it can only ingest.")] = False,
    expires_at: Annotated[str | None, typer.Option(help="ISO 8601.")] = None,
    rate_limit: Annotated[int | None, typer.Option(help="Requests a second.", min=1)] = None,
) -> None:
    """Create a key; the answer alone shows it."""
    body = {
        "name": name,
        "kind": "public" if public else "secret",
        "scopes": scope or None,
        "environment": OPTIONS.get().environment,
        "expires_at": expires_at,
        "rate_limit": rate_limit,
    }

    async def work() -> dict[str, Any]:
        async with api() as client:
            return await client.call("POST", "/v1/keys", {k: v for k, v in body.items() if v is not None})

    made = run(work())
    if OPTIONS.get().as_json:
        print_json(made)
        return
    print(f"{made['id']}  {made['key']}")
    note("keep it: it is not shown again")


@cli.command("list", epilog=examples("headwater keys list", "headwater keys list --json"))
def show() -> None:
    """Show the workspace's keys, without their secrets."""

    async def work() -> list[dict[str, Any]]:
        async with api() as client:
            keys: AsyncIterator[dict[str, Any]] = client.listed("/v1/keys")
            return [key async for key in keys]

    print_rows(run(work()), COLUMNS, as_json=OPTIONS.get().as_json)


@cli.command(epilog=examples("headwater keys revoke KEY_ID"))
def revoke(key_id: str) -> None:
    """Revoke a key; it stops working within a second."""

    async def work() -> None:
        async with api() as client:
            await client.call("DELETE", f"/v1/keys/{part(key_id)}")

    run(work())
    if OPTIONS.get().as_json:
        print_json({"id": key_id, "revoked": True})
    else:
        print(f"revoked {key_id}")
