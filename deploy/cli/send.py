"""An event's type and fields in; the event sent, and with --sync its changes, out."""

import json
from typing import Annotated, Any, NamedTuple

import typer

from deploy.client.api import ApiClient
from deploy.client.config import ConfigError
from deploy.client.output import note, print_json
from deploy.client.session import OPTIONS, api, examples, run

IDENTIFIERS = ("user_id", "email", "phone", "anonymous_id", "device_id")
EXAMPLES = examples(
    "headwater send page_viewed --anonymous-id browser-7 --set path=/pricing",
    "headwater send order_completed --user-id u1 --set total=149 --set items:='[\"a\"]' --sync",
)


def typed(assignment: str) -> tuple[str, Any]:
    """Parses ``name=value`` (number, true/false, else text) or ``name:=JSON``; raises ``ConfigError``."""
    name, equals, value = assignment.partition("=")
    is_json = name.endswith(":")
    name = name.removesuffix(":")
    if not equals or not name:
        raise ConfigError(f"--set {assignment!r}: say name=value, or name:=JSON")
    try:
        read = json.loads(value)
    except ValueError as error:
        if is_json:
            raise ConfigError(f"--set {assignment!r}: {value!r} is not JSON: {error}") from error
        return name, value
    # only JSON's own spelling is a number: 007 and 1,5 stay text
    return (name, read) if is_json or isinstance(read, bool | int | float) else (name, value)


def add_to(app: typer.Typer) -> None:
    app.command(epilog=EXAMPLES)(send)


def send(  # noqa: PLR0917 - a command line's words
    type: Annotated[str, typer.Argument(help="Such as order_completed.")],  # noqa: A002 - the API's own name
    user_id: Annotated[str | None, typer.Option(help="The contact's id in your system.")] = None,
    email: Annotated[str | None, typer.Option()] = None,
    phone: Annotated[str | None, typer.Option()] = None,
    anonymous_id: Annotated[str | None, typer.Option(help="A browser's or an installation's id.")] = None,
    device_id: Annotated[str | None, typer.Option()] = None,
    event_id: Annotated[str | None, typer.Option(help="The same id again counts once.")] = None,
    timestamp: Annotated[str | None, typer.Option(help="When it happened, ISO 8601; default: now.")] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="A property: name=value, or name:=JSON. May be repeated.")
    ] = None,
    sync: Annotated[
        bool, typer.Option("--sync", help="Wait until the event can be read, and show its effects.")
    ] = False,
) -> None:
    """Send one event."""
    identifiers = dict(zip(IDENTIFIERS, (user_id, email, phone, anonymous_id, device_id), strict=True))
    body = {"type": type, **identifiers, "event_id": event_id, "timestamp": timestamp}
    event: dict[str, Any] = {name: value for name, value in body.items() if value is not None}
    event["properties"] = dict(map(typed, set_ or ()))

    async def work() -> SentEvent:
        async with api() as client:
            return await send_event(client, event, sync=sync)

    show_sent(run(work()), sync=sync)


class SentEvent(NamedTuple):
    """The API's response, and the names of its segments by id."""

    answer: dict[str, Any]
    names: dict[str, str]


async def send_event(client: ApiClient, event: dict[str, Any], *, sync: bool) -> SentEvent:
    """Sends an event; raises ``ApiRefusedError`` and ``ApiUnreachableError``."""
    query = {"sync": "true", "timeout_ms": "10000"} if sync else None
    answer = await client.call("POST", "/v1/events", event, query=query)
    changed = answer.get("segment_changes", {})
    ids = {*changed.get("entered", ()), *changed.get("left", ())}
    return SentEvent(
        answer,
        {segment_id: (await client.call("GET", f"/v1/segments/{segment_id}"))["name"] for segment_id in sorted(ids)},
    )


def show_sent(sent: SentEvent, *, sync: bool) -> None:
    """Prints the event's effects."""
    answer, names = sent
    if OPTIONS.get().as_json:
        print_json(answer)
        return
    print(f"{answer['event_id']}  contact {answer['contact_id']}")
    for word in ("entered", "left"):
        for segment_id in answer.get("segment_changes", {}).get(word, ()):
            print(f"  {word} {names[segment_id]} ({segment_id})")
    for warning in answer.get("warnings", ()):
        note(f"  warning: {warning}")
    if sync and "segment_changes" not in answer:
        note(f"accepted, and not readable within 10 s: GET /v1/tasks/{answer.get('task_id')} tells")
