"""An event's trace from the API in; a line for each step, with the time since the request, out; pure."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from schemas.times import parse_iso


class TraceStep(NamedTuple):
    name: str
    at: str | None
    after_ms: int | None
    """Milliseconds since the edge received the request."""
    place: str
    """The place in Kafka: topic, partition, offset and index."""
    text: str


def way_of(trace: Mapping[str, Any] | None) -> list[TraceStep]:
    """Returns lines in the order of the trace; an empty list without a trace."""
    steps = trace["steps"] if trace is not None else []
    began = next((parse_iso(step["at"]) for step in steps if step["at"]), None)
    return [
        TraceStep(
            step["step"],
            step["at"],
            None if began is None or not step["at"] else max(0, (parse_iso(step["at"]) or began) - began),
            _place(step["place"]),
            _TEXTS[step["step"]](step["detail"]),
        )
        for step in steps
    ]


def _place(place: Mapping[str, Any] | None) -> str:
    return "" if place is None else "/".join(str(place[name]) for name in ("topic", "partition", "offset", "index"))


def _request(detail: Mapping[str, Any]) -> str:
    return f"{detail['kind']} by {detail['source']}" + (f", key {detail['key_id']}" if detail["key_id"] else "")


def _resolved(detail: Mapping[str, Any]) -> str:
    if not detail["contact_id"]:
        return "belongs to no contact"
    because, taught = detail["because"], len(detail["taught"])
    text: str = detail["contact_id"]
    if because:
        text += f", as event {because['event_id']} tied {because['identifier']['value']} to it"
    return text + (f"; it taught {taught} link{'s' if taught > 1 else ''}" if taught else "")


def _delivered(detail: Mapping[str, Any]) -> str:
    answer = detail["response_code"] or detail["error"] or "no answer"
    target = f"{detail['type']} to {detail['webhook_id']}"
    return f"{target}: {answer} in {detail['duration_ms']} ms, attempt {detail['attempt']}"


_TEXTS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "request": _request,
    "received": lambda _: "acknowledged by Kafka",
    "resolved": _resolved,
    "merged": lambda detail: f"{detail['from']} became part of {detail['into']}",
    "refused": lambda detail: f"{detail['type']} {detail['value']} was not tied: {detail['reason']}",
    "changed": lambda detail: f"{detail['change']} {detail['name'] or detail['segment_id']}: {detail['reason']}",
    "consent": lambda detail: f"{detail['consent']} {detail['state']}",
    "stored": lambda detail: f"a row of {detail['table']}",
    "repeated": lambda detail: "came again" + (", with other content" if detail["conflict"] else ""),
    "delivered": _delivered,
}
