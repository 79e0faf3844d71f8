"""Counts in; shares with their intervals, and the bars of a funnel, out; pure."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from schemas.times import parse_iso

_Z = 1.959964
"""The quantile of the normal distribution for 95 %."""
FUNNEL = ("requested", "sent", "delivered", "opened", "clicked", "conversions")
TROUBLES = ("bounced", "complained", "unsubscribed", "failed")


class Share(NamedTuple):
    """A share with its 95 % interval, all from 0 to 1."""

    value: float
    low: float
    high: float


class Bar(NamedTuple):
    """A step of a funnel; ``width`` is a share of the largest step."""

    name: str
    total: int
    width: float


def share(hits: int, tries: int) -> Share | None:
    """Uses Wilson's interval, which is valid for few tries too; ``None`` without tries."""
    if tries <= 0:
        return None
    p = min(1.0, hits / tries)
    base = 1 + _Z * _Z / tries
    middle = (p + _Z * _Z / (2 * tries)) / base
    reach = _Z * math.sqrt(p * (1 - p) / tries + _Z * _Z / (4 * tries * tries)) / base
    return Share(p, max(0.0, middle - reach), min(1.0, middle + reach))


def columns(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> dict[str, Any]:
    """Converts the points of a series to the plot's columns, times in seconds."""
    times = [(parse_iso(row["at"]) or 0) // 1000 for row in rows]
    return {"names": list(names), "data": [times, *([row[name] for row in rows] for name in names)]}


def funnel(stats: dict[str, Any]) -> list[Bar]:
    """Returns the steps that have a count, from the first on."""
    counts = [(name, int(stats[name])) for name in FUNNEL]
    most = max(1, *(count for _, count in counts))
    return [Bar(name, count, count / most) for name, count in counts if count or name in ("sent", "delivered")]
