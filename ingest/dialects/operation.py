"""What a dialect has to say about one of its paths; nothing in here or beside it knows of Kafka."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ingest.raw import Answer, Parsed, Reply
from schemas.errors import Refused

JSON = (b"content-type", b"application/json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One path. ``parse`` may raise ``Refused`` for the whole request; ``refuse`` gets the request id."""

    source: str
    path: str
    parse: Callable[[Any, int], Parsed]
    """(JSON value, most items) -> items"""
    reply: Callable[[Answer], Reply]
    refuse: Callable[[Refused, str], Reply]
    batch_label: str = ""
    """Name of the field that holds a batch, where the path takes one; a broken item then costs only itself."""
    scope: str = "events:ingest"
    any_environment: bool = False
    """Whether a public key may name another environment of its workspace too."""
    always_task: bool = False
    """Whether every answer carries a task id, not only one that waited."""


def object_of(value: Any, what: str = "the body") -> dict[str, Any]:
    """Raises ``Refused`` (400) unless the value is a JSON object."""
    if not isinstance(value, dict):
        raise Refused("invalid_type", f"{what} must be a JSON object")
    return value


def optional_object(value: dict[str, Any], name: str) -> dict[str, Any] | None:
    """An optional object field; raises ``Refused`` (422) for another type."""
    found = value.get(name)
    if found is not None and not isinstance(found, dict):
        raise Refused("invalid_field", f"{name} must be an object", name)
    return found


def each(values: list[Any], one: Callable[[Any], Any]) -> list[Any]:
    """Items parsed one by one; what cannot be is its refusal, in its place."""
    items = []
    for value in values:
        if isinstance(value, Refused):
            items.append(value)
            continue
        try:
            items.append(one(value))
        except Refused as refused:
            items.append(refused)
    return items


def check_count(values: list[Any], most: int, name: str) -> None:
    """Raises ``Refused`` for an empty batch (422) or one over the limit (413)."""
    if not values:
        raise Refused("invalid_field", "at least one event is needed", name)
    if len(values) > most:
        raise Refused("too_many", f"at most {most} events in one request", name)
