"""`headwater trigger TYPE` in; a sample event of that type, sent to the pipeline or to one webhook, out.

Its properties have the names and types of an event of this type that was sent before, with made-up values: a copy of
a person's values would outlive the erasure of that person, and count revenue twice.
"""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from deploy.cli.send import SentEvent, send_event, show_sent, typed
from deploy.client.api import ApiClient, part
from deploy.client.config import ConfigError
from deploy.client.output import FINDINGS, note, print_json
from deploy.client.session import OPTIONS, api, examples, run

EXAMPLES = examples(
    "headwater trigger order_completed --user-id u1 --set total=149", "headwater trigger page_viewed --sync"
)
EXAMPLE_USER = "example"
COMMON: Mapping[str, dict[str, Any]] = {
    "order_completed": {"order_id": "o-1", "total": 149, "currency": "EUR", "items": [{"sku": "s1", "quantity": 1}]},
    "page_viewed": {"path": "/pricing", "title": "Pricing"},
    "product_added": {"sku": "s1", "price": 29, "currency": "EUR", "quantity": 1},
    "signed_up": {"plan": "free"},
}
"""Properties of common types."""


def add_to(app: typer.Typer) -> None:
    app.command(epilog=EXAMPLES)(trigger)


def trigger(
    type: Annotated[str, typer.Argument(help="Such as order_completed.")],  # noqa: A002 - the API's own name
    user_id: Annotated[str, typer.Option(help="Of the contact that does it.")] = EXAMPLE_USER,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="Another property: name=value, or name:=JSON. May be repeated.")
    ] = None,
    webhook: Annotated[
        str, typer.Option(help="Id of a webhook: it alone gets the API's example, marked as a test.")
    ] = "",
    sync: Annotated[bool, typer.Option("--sync", help="Wait until it can be read, and show what it changed.")] = False,
) -> None:
    """Send an example of an event: with the properties of the last one of its type, made-up values, and --set."""
    changed = dict(map(typed, set_ or ()))
    if webhook:
        if changed or sync or user_id != EXAMPLE_USER:
            raise ConfigError("--webhook sends the API's example: --user-id, --set and --sync are for the pipeline")
        run(_to_webhook(webhook, type))
        return
    show_sent(run(_to_pipeline(type, user_id, changed, sync=sync)), sync=sync)


async def _to_pipeline(kind: str, user_id: str, changed: dict[str, Any], *, sync: bool) -> SentEvent:
    async with api() as client:
        properties = {**await _properties(client, kind), **changed}
        return await send_event(client, {"type": kind, "user_id": user_id, "properties": properties}, sync=sync)


async def _properties(client: ApiClient, kind: str) -> dict[str, Any]:
    if kind in COMMON:
        return COMMON[kind]
    events = await client.call("GET", "/v1/events", query={"type": kind, "limit": "1"})
    if not events["data"]:
        note(f"no {kind} was sent before: its properties are those of --set")
        return {}
    return {name: made_up(value) for name, value in events["data"][0]["properties"].items()}


def made_up(value: Any) -> Any:
    """A value of the same JSON type without the original's content; of a list, one element."""
    if isinstance(value, dict):
        return {name: made_up(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [made_up(inner) for inner in value[:1]]
    if isinstance(value, str):
        return "example"
    return value if value is None or isinstance(value, bool) else 1


async def _to_webhook(webhook: str, kind: str) -> None:
    async with api() as client:
        answer = await client.call("POST", f"/v1/webhooks/{part(webhook)}/test", {"type": kind})
    if OPTIONS.get().as_json:
        print_json(answer)
    else:
        print(f"{answer['status']}  {answer['response_code'] or answer['error']}  {answer['duration_ms']} ms")
    if answer["status"] != "succeeded":
        raise typer.Exit(FINDINGS)
