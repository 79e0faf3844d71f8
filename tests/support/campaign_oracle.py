"""Events and merges of a campaign in; its figures, counted one by one as a person would, out."""

from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from schemas.records import identity
from schemas.records.records import Event
from schemas.records.sameness import event_key
from schemas.times import parse_duration

KINDS = ("requested", "sent", "delivered", "opened", "clicked", "bounced", "complained", "unsubscribed", "failed")
MACHINE_AGENTS = ("Mozilla/5.0", "python-requests/2.31", "Barracuda Sentinel (EE)")
PERSON_AGENTS = ("", "Mozilla/5.0 (Windows NT 10.0) Firefox/130.0", "Mozilla/5.0 (via ggpht.com GoogleImageProxy)")


def facts_of(events: Iterable[Event], owners: Mapping[str, str], as_of_ms: int) -> list[tuple[Event, str, str]]:
    """(event, contact, message) of every distinct event: the first received of each."""
    first: dict[tuple[str, str], Event] = {}
    for event in sorted(events, key=lambda e: e["received_ms"]):
        if event["received_ms"] <= as_of_ms:
            first.setdefault((event["campaign_id"], event_key(event)), event)
    facts = []
    for event in first.values():
        own = identity.own_contact_id(event)
        contact = owners.get(own, event["contact_id"])
        message = event["message_id"] or (f"of {contact}" if contact else f"event {event_key(event)}")
        facts.append((event, contact, message))
    return facts


def by_machine(event: Event) -> bool:
    properties = orjson.loads(event["properties"])
    return bool(properties.get("machine_open")) or properties.get("user_agent") in MACHINE_AGENTS


def firsts(facts: Iterable[tuple[Event, str, str]], campaign: str) -> dict[str, dict[str, int]]:
    """Kind -> message -> time of its first event. A person's opening or click excludes the machine's."""
    by_kind: dict[str, dict[str, int]] = {}
    for event, _, message in facts:
        kind = event["type"].removeprefix("message.")
        if event["campaign_id"] != campaign or kind not in KINDS or kind == event["type"]:
            continue
        if kind in ("opened", "clicked") and by_machine(event):
            kind = f"machine_{kind}"
        times = by_kind.setdefault(kind, {})
        times[message] = min(times.get(message, event["timestamp_ms"]), event["timestamp_ms"])
    for kind in ("opened", "clicked"):
        machines = by_kind.get(f"machine_{kind}", {})
        by_kind[f"machine_{kind}"] = {m: at for m, at in machines.items() if m not in by_kind.get(kind, {})}
    return by_kind


def conversions(
    facts: Iterable[tuple[Event, str, str]], campaign: str, goal: Mapping[str, Any] | None
) -> tuple[set[str], int, float]:
    """Messages or contacts that reached the goal, the number of events, and their total value."""
    rows = list(facts)
    reached: dict[str, tuple[str, float]] = {}
    for event, contact, message in rows:
        properties = orjson.loads(event["properties"])
        value = float(properties.get(goal["value"] if goal else "value") or 0)
        mine = event["campaign_id"] == campaign
        if goal and event["type"] == goal["event"] and contact and event["campaign_id"] in ("", campaign):
            window = parse_duration(goal["window"]) or 0
            touched = any(
                e["campaign_id"] == campaign
                and e["type"] in ("message.sent", "message.clicked")
                and c == contact
                and e["timestamp_ms"] <= event["timestamp_ms"] < e["timestamp_ms"] + window
                for e, c, _ in rows
            )
            if touched:
                reached[event["campaign_id"] + event_key(event)] = (message, value)
        elif mine and event["type"] == "conversion" and not (goal and goal["event"] == "conversion"):
            reached[event["campaign_id"] + event_key(event)] = (message, value)
    return {m for m, _ in reached.values()}, len(reached), sum(v for _, v in reached.values())
