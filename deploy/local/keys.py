"""A word and an admin key in; keys made, shown and revoked through the API of a running stack, out."""

import asyncio
import os
import sys
from typing import Annotated, Any

import aiohttp
import typer

from deploy.local.stack import address
from schemas.control.development import SECRET_KEY
from schemas.settings import Settings

cli = typer.Typer(no_args_is_help=True, help="API keys of a running stack.")

Url = Annotated[str, typer.Option(help="Where the API is; the stack of this home if not said.")]


async def _call(url: str, method: str, path: str, body: Any = None) -> Any:
    """``HEADWATER_KEY`` is the admin key that asks, else the local stack's own."""
    headers = {"Authorization": f"Bearer {os.environ.get('HEADWATER_KEY', SECRET_KEY)}"}
    base = url or address(Settings())
    try:
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, base + path, json=body, headers=headers) as answer,
        ):
            said = await answer.json(content_type=None) if answer.status != 204 else {}
    except aiohttp.ClientError as error:
        print(f"{base} does not answer: {error}", file=sys.stderr)
        raise typer.Exit(1) from error
    if answer.status >= 400:
        print(said["error"]["message"], file=sys.stderr)
        raise typer.Exit(1)
    return said


def _run(url: str, method: str, path: str, body: Any = None) -> Any:
    return asyncio.run(_call(url, method, path, body))


@cli.command()
def create(  # noqa: PLR0917 - a command line's words
    name: str,
    scope: Annotated[list[str] | None, typer.Option(help="May be given more than once.")] = None,
    public: Annotated[bool, typer.Option(help="A key for browsers: it can only ingest.")] = False,
    environment: Annotated[str | None, typer.Option()] = None,
    expires_at: Annotated[str | None, typer.Option(help="ISO 8601.")] = None,
    rate_limit: Annotated[int | None, typer.Option(help="Requests a second.")] = None,
    url: Url = "",
) -> None:
    """Make a key; it is shown this once."""
    body = {
        "name": name,
        "kind": "public" if public else "secret",
        "scopes": scope,
        "environment": environment,
        "expires_at": expires_at,
        "rate_limit": rate_limit,
    }
    made = _run(url, "POST", "/v1/keys", {k: v for k, v in body.items() if v is not None})
    print(f"{made['id']}  {made['key']}")
    print("keep it: it is not shown again")


@cli.command("list")
def show(url: Url = "") -> None:
    """Show the workspace's keys."""
    cursor: str | None = ""
    while cursor is not None:
        page = _run(url, "GET", f"/v1/keys?limit=100&cursor={cursor}")
        for key in page["data"]:
            used = key["last_used_at"] or "never used"
            print(f"{key['id']:<38} {key['kind']:<7} {key['environment']:<12} {used:<25} {key['name']}")
        cursor = page["next_cursor"]


@cli.command()
def revoke(key_id: str, url: Url = "") -> None:
    """Revoke a key; it stops working within a second."""
    _run(url, "DELETE", f"/v1/keys/{key_id}")
    print(f"revoked {key_id}")
