"""An event in the API's shape in; the call that sends it, and the query that reads it, out; pure."""

import shlex
from typing import Any

import orjson

from schemas.sql_text import literal

_FIELDS = ("type", "timestamp", "properties", "campaign_id", "message_id", "variant", "channel")
_NATIVE = frozenset({"user_id", "external_id", "email", "phone", "anonymous_id", "device_id"})


def again(event: dict[str, Any]) -> dict[str, Any]:
    """Returns the body of the same event with a new id and the present time."""
    body = body_of(event)
    body.pop("timestamp", None)
    body.pop("message_id", None)
    return body


def body_of(event: dict[str, Any]) -> dict[str, Any]:
    """Returns the body of an equal native call."""
    body = {name: event[name] for name in _FIELDS if event.get(name)}
    for kind, value in pairs_of(event):
        if kind in _NATIVE:
            body.setdefault(kind, value)
    if not _NATIVE & body.keys() and event.get("contact_id"):
        body["contact_id"] = event["contact_id"]
    return body


def pairs_of(event: dict[str, Any]) -> list[tuple[str, str]]:
    """Returns types and values of the event's identifiers, from either shape."""
    pairs = []
    for identifier in event.get("identifiers") or ():
        if isinstance(identifier, dict):
            pairs.append((str(identifier["type"]), str(identifier["value"])))
        elif isinstance(identifier, str):
            kind, _, value = identifier.partition(":")
            pairs.append((kind, value))
        else:
            pairs.append((str(identifier[0]), str(identifier[1])))
    return pairs


def curl_of(base: str, key: str, event: dict[str, Any]) -> str:
    """Returns a command line for a shell."""
    body = orjson.dumps(body_of(event)).decode()
    return (
        f"curl -X POST {shlex.quote(f'{base}/v1/events')} \\\n  -H {shlex.quote(f'Authorization: Bearer {key}')} \\\n"
        f"  -H 'Content-Type: application/json' \\\n  -d {shlex.quote(body)}"
    )


def sql_of(workspace: str, environment: str, event_id: str) -> str:
    """Returns the query of the event's row."""
    where = {"workspace": workspace, "environment": environment, "event_id": event_id}
    conditions = "\n  AND ".join(f"{name} = {literal(value)}" for name, value in where.items())
    return f"SELECT * FROM headwater.events_resolved\nWHERE {conditions}"  # noqa: S608 - to be read, never run here
