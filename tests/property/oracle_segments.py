"""The meaning of a rule, told again in the plainest way: all events of a contact and a moment in, yes or no out."""

from collections.abc import Iterator, Sequence
from operator import eq, ge, gt, le, lt, ne
from typing import Any

import orjson

from schemas.records.records import Event
from schemas.times import parse_duration, parse_iso, parse_time

ORDER = {"eq": eq, "ne": ne, "gt": gt, "gte": ge, "lt": lt, "lte": le}


def is_member(rule: dict[str, Any], events: Sequence[Event], now: int, *, known: bool) -> bool:
    """``known``: whether the contact has a strong identifier. Only what the strategies generate is understood."""
    if "all" in rule:
        return all(is_member(part, events, now, known=known) for part in rule["all"])
    if "any" in rule:
        return any(is_member(part, events, now, known=known) for part in rule["any"])
    if "not" in rule:
        return not is_member(rule["not"], events, now, known=known)
    if "identified" in rule:
        return known is rule["identified"]
    if "consent" in rule:
        return last(events, "consents", rule["consent"]) is rule["value"]
    if "attribute" in rule:
        return compare(rule, last(events, "set", rule["attribute"]), now)
    if "sequence" in rule:
        return any(follows(rule["sequence"], events, now))
    if "absent" in rule:
        return lapsed(rule, events, now)
    return count(rule, events, now)


def last(events: Sequence[Event], part: str, name: str) -> Any:
    """The last one's word."""
    said = [
        (min(e["timestamp_ms"], e["received_ms"]), e["event_id"], orjson.loads(e["profile"])[part][name])
        for e in events
        if e["profile"] and name in orjson.loads(e["profile"]).get(part, {})
    ]
    return max(said, key=lambda one: one[:2])[2] if said else None


def compare(rule: dict[str, Any], value: Any, now: int) -> bool:
    op = rule["op"]
    if op == "not_exists":
        return value is None
    if value is None:
        return bool(op == "ne")
    if op in ("before", "after"):
        time = parse_time(value)
        limit = now - (parse_duration(rule["value"].removeprefix("now-")) or 0)
        return time is not None and (time < limit if op == "before" else time > limit)
    return bool(ORDER[op](value, rule["value"]))


def matching(step: dict[str, Any], events: Sequence[Event]) -> list[Event]:
    return [
        e
        for e in events
        if e["type"] == step["event"] and e["kind"] == "track"
        if all(orjson.loads(e["properties"])[w["property"]] >= w["value"] for w in step.get("where", ()))
    ]


def follows(steps: Sequence[dict[str, Any]], events: Sequence[Event], now: int, at: int = -1) -> Iterator[bool]:
    """True for each way to go through the steps after ``at``."""
    first, *rest = steps
    within = parse_duration(first.get("within")) or now + 1
    for e in matching(first, events):
        if at < e["timestamp_ms"] <= now and (at < 0 or e["timestamp_ms"] - at < within):
            if rest:
                yield from follows(rest, events, now, e["timestamp_ms"])
            else:
                yield True


def lapsed(rule: dict[str, Any], events: Sequence[Event], now: int) -> bool:
    span = parse_duration(rule["for"]) or 0
    answers = matching(rule["absent"], events)
    return any(
        after["timestamp_ms"] + span <= now
        and not any(
            0 <= b["timestamp_ms"] - after["timestamp_ms"] < span for b in answers if b["event_id"] != after["event_id"]
        )
        for after in matching(rule["after"], events)
    )


def count(rule: dict[str, Any], events: Sequence[Event], now: int) -> bool:
    first, end = 0, now + 1
    if "within" in rule:
        first = now - (parse_duration(rule["within"]) or 0)
    if "between" in rule:
        first, end = (parse_iso(moment) or 0 for moment in rule["between"])
    end = min(end, now + 1)
    found = [e for e in matching(rule, events) if first <= e["timestamp_ms"] < end]
    kind = next((kind for kind in ("sum", "max", "min") if kind in rule), "")
    if kind:
        values = [orjson.loads(e["properties"])[rule[kind]["property"]] for e in found]
        if kind != "sum" and not values:
            return bool(rule[kind]["op"] == "ne")
        total = sum(values) if kind == "sum" else max(values) if kind == "max" else min(values)
        return bool(ORDER[rule[kind]["op"]](total, rule[kind]["value"]))
    threshold = rule.get("count", {"op": "gte", "value": 1})
    return bool(ORDER[threshold["op"]](len(found), threshold["value"]))
