"""The meaning of a rule, told again in the plainest way: all events of a contact and a moment in, yes or no out."""

from collections.abc import Sequence
from operator import eq, ge, gt, le, lt, ne
from typing import Any

import orjson

from schemas.records import Event
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


def count(rule: dict[str, Any], events: Sequence[Event], now: int) -> bool:
    first, end = 0, now + 1
    if "within" in rule:
        first = now - (parse_duration(rule["within"]) or 0)
    if "between" in rule:
        first, end = (parse_iso(moment) or 0 for moment in rule["between"])
    found = {
        e["event_id"]
        for e in events
        if e["type"] == rule["event"] and first <= e["timestamp_ms"] < min(end, now + 1) and e["kind"] == "track"
        if all(orjson.loads(e["properties"])[w["property"]] >= w["value"] for w in rule.get("where", ()))
    }
    threshold = rule.get("count", {"op": "gte", "value": 1})
    return bool(ORDER[threshold["op"]](len(found), threshold["value"]))
