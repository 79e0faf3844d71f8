"""The meaning of a rule, told again in the plainest way: all events of a contact and a moment in, yes or no out."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from operator import eq, ge, gt, le, lt, ne
from typing import Any
from zoneinfo import ZoneInfo

import orjson

from schemas.records.records import Event
from schemas.times import parse_duration, parse_iso, parse_time

ORDER = {"eq": eq, "ne": ne, "gt": gt, "gte": ge, "lt": lt, "lte": le}
LISTS: dict[str, tuple[Any, ...]] = {"plans": (1, 2), "people": ("ann", "eve"), "vip_skus": ("tea-1", "tea-2")}
"""Named lists of every world, unless it has others."""


def written_out(rule: Any, lists: Mapping[str, Collection[Any]] = LISTS) -> Any:
    """The rule with the values of each list in place of its name."""
    if isinstance(rule, list):
        return [written_out(part, lists) for part in rule]
    if not isinstance(rule, dict):
        return rule
    if rule.keys() == {"list"}:
        return list(lists[rule["list"]])
    return {name: written_out(part, lists) for name, part in rule.items()}


def is_member(
    rule: dict[str, Any],
    events: Sequence[Event],
    now: int,
    *,
    is_known: bool,
    merged: Collection[tuple[str, str]] = (),
) -> bool:
    """``is_known``: whether the contact has a strong identifier; ``merged``: those that came with other contacts.

    Only what the strategies generate is understood.
    """
    return _is_member(written_out(rule), events, now, is_known=is_known, merged=merged)


def _is_member(
    rule: dict[str, Any], events: Sequence[Event], now: int, *, is_known: bool, merged: Collection[tuple[str, str]]
) -> bool:
    if "all" in rule:
        return all(_is_member(part, events, now, is_known=is_known, merged=merged) for part in rule["all"])
    if "any" in rule:
        return any(_is_member(part, events, now, is_known=is_known, merged=merged) for part in rule["any"])
    if "not" in rule:
        return not _is_member(rule["not"], events, now, is_known=is_known, merged=merged)
    if "identified" in rule:
        return is_known is rule["identified"]
    if "consent" in rule:
        return last(events, "consents", rule["consent"]) is rule["value"]
    if "identifier" in rule:
        kind = rule["identifier"]
        values = {identifier["value"] for e in events for identifier in e["identifiers"] if identifier["type"] == kind}
        return identified(rule, values | {value for other, value in merged if other == kind})
    if rule.get("op") == "anniversary":
        return celebrates(rule, last(events, "set", "since"), last(events, "set", "zone"), now)
    if "attribute" in rule:
        return compare(rule, last(events, "set", rule["attribute"]), now)
    if "sequence" in rule:
        return any(follows(rule["sequence"], events, now))
    if "absent" in rule:
        return lapsed(rule, events, now)
    return count(rule, events, now)


def last(events: Sequence[Event], part: str, name: str) -> Any:
    """The last one's word."""
    values = [
        (min(e["timestamp_ms"], e["received_ms"]), e["event_id"], orjson.loads(e["profile"])[part][name])
        for e in events
        if e["profile"] and name in orjson.loads(e["profile"]).get(part, {})
    ]
    return max(values, key=lambda stamped: stamped[:2])[2] if values else None


def compare(rule: dict[str, Any], value: Any, now: int) -> bool:
    op = rule["op"]
    if op == "not_exists":
        return value is None
    if value is None:
        return op in ("ne", "not_in")
    if op in ("in", "not_in"):
        return (value in rule["value"]) is (op == "in")
    if op in ("before", "after"):
        time = parse_time(value)
        limit = now - (parse_duration(rule["value"].removeprefix("now-")) or 0)
        return time is not None and (time < limit if op == "before" else time > limit)
    return bool(ORDER[op](value, rule["value"]))


def identified(rule: dict[str, Any], values: set[str]) -> bool:
    op, value = rule["op"], rule.get("value", "")
    negated = {"ne": "eq", "not_in": "in", "not_exists": "exists"}
    if op in negated:
        return not identified({**rule, "op": negated[op]}, values)
    if op == "exists":
        return bool(values)
    tests = {
        "eq": lambda text: text == value,
        "in": lambda text: text in value,
        "contains": lambda text: value in text,
        "starts_with": lambda text: text.startswith(value),
        "ends_with": lambda text: text.endswith(value),
    }
    return any(map(tests[op], values))


def celebrates(rule: dict[str, Any], value: Any, zone: Any, now: int) -> bool:
    """A number of seconds: its month and day are those in UTC."""
    name = rule["tz"]
    if isinstance(name, dict):
        name = zone if zone in ("Asia/Tokyo", "America/Los_Angeles") else "UTC"
    if value is None:
        return False
    born = datetime.fromtimestamp(value, UTC)
    today = datetime.fromtimestamp(now / 1000, ZoneInfo(name)) + timedelta(days=rule["value"])
    return (born.month, born.day) == (today.month, today.day)


def matching(step: dict[str, Any], events: Sequence[Event]) -> list[Event]:
    return [
        e
        for e in events
        if e["type"] == step["event"] and e["kind"] == "track"
        if all(passes(w, orjson.loads(e["properties"])[w["property"]]) for w in step.get("where", ()))
    ]


def passes(where: dict[str, Any], value: int) -> bool:
    return value in where["value"] if where["op"] == "in" else bool(value >= where["value"])


def follows(steps: Sequence[dict[str, Any]], events: Sequence[Event], now: int, at: int = -1) -> Iterator[bool]:
    """True for each way to go through the steps after ``at``."""
    first, *rest = steps
    for time in reaches(first, events, at):
        if time <= now:
            if rest:
                yield from follows(rest, events, now, time)
            else:
                yield True


def reaches(step: dict[str, Any], events: Sequence[Event], at: int = -1) -> Iterator[int]:
    """When a step may be reached: at the last of as many events after ``at`` as it asks for."""
    within = parse_duration(step.get("within")) or 1 << 60
    times = sorted(e["timestamp_ms"] for e in matching(step, events) if e["timestamp_ms"] > at)
    n = step.get("count", {"value": 1})["value"]
    for i in range(n - 1, len(times)):
        if times[i] - (times[i - n + 1] if at < 0 else at) < within or (at < 0 and n == 1):
            yield times[i]


def lapsed(rule: dict[str, Any], events: Sequence[Event], now: int) -> bool:
    span = parse_duration(rule["for"]) or 0
    answers = matching(rule["absent"], events)
    first = now - (parse_duration(rule.get("within")) or 1 << 60)
    triggers = set(reaches(rule["after"], events))
    return any(
        first <= after["timestamp_ms"] <= now - span
        and after["timestamp_ms"] in triggers
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
    matched = [e for e in matching(rule, events) if first <= e["timestamp_ms"] < end]
    kind = next((kind for kind in ("sum", "max", "min") if kind in rule), "")
    if kind:
        values = [orjson.loads(e["properties"])[rule[kind]["property"]] for e in matched]
        if kind != "sum" and not values:
            return bool(rule[kind]["op"] == "ne")
        total = sum(values) if kind == "sum" else max(values) if kind == "max" else min(values)
        return bool(ORDER[rule[kind]["op"]](total, rule[kind]["value"]))
    threshold = rule.get("count", {"op": "gte", "value": 1})
    return bool(ORDER[threshold["op"]](len(matched), threshold["value"]))
