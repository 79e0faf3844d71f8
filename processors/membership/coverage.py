"""Conditions that a partition counted over all history in; segments that still lack conditions out; pure.

A condition is covered once the history of every contact of the partition has been fed; a segment is pending until all
its conditions are. A condition that leaves the plan is forgotten at once: contacts drop its events.
"""

import logging
from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from processors.membership.conditions import Plan, Tenant
from schemas.rules.conditions import Condition
from schemas.rules.windows import Retention

log = logging.getLogger(__name__)


def covers(kept: Retention, needed: Retention) -> bool:
    """Whether history that was kept by the retention ``kept`` holds all that ``needed`` requires."""
    if kept.most < needed.most:
        return False
    return kept.ms is None or (needed.ms is not None and kept.ms >= needed.ms)


class Coverage:
    """The retention of each condition that the history of every contact covers. ``dirty``: its row is out of date."""

    def __init__(self, retentions: Mapping[Tenant, Mapping[str, Retention]] | None = None) -> None:
        self._known = {home: dict(some) for home, some in (retentions or {}).items()}
        self.dirty = False
        self.version = 0

    def missing(self, plan: Plan) -> dict[str, Condition]:
        """Conditions of the plan that contacts lack events of."""
        covered = self._known.get(plan.home, {})
        return {
            name: condition
            for name, condition in plan.conditions.items()
            if name not in covered or not covers(covered[name], condition.keep)
        }

    def pending(self, plan: Plan) -> frozenset[str]:
        """Segments whose memberships are not emitted yet."""
        return frozenset(s for condition in self.missing(plan).values() for s in condition.segments)

    def forget(self, plans: Iterable[Plan]) -> None:
        """Drop conditions that no plan counts any more, and the part beyond a smaller retention."""
        by_home = {plan.home: plan for plan in plans}
        for home in list(self._known):
            plan = by_home.get(home)
            kept = {
                name: plan.keeps[name] if covers(keep, plan.keeps[name]) else keep
                for name, keep in self._known[home].items()
                if plan is not None and name in plan.keeps
            }
            if kept != self._known[home]:
                self._known[home] = kept
                self._changed()

    def add(self, home: Tenant, keeps: Mapping[str, Retention]) -> None:
        """These have been fed to every contact."""
        if keeps:
            self._known.setdefault(home, {}).update(keeps)
            self._changed()

    def _changed(self) -> None:
        self.dirty = True
        self.version += 1

    def dump(self) -> list[Any]:
        return [
            [*home, {name: [keep.most, keep.ms] for name, keep in some.items()}]
            for home, some in self._known.items()
            if some
        ]


def load(rows: Iterable[Any]) -> Coverage:
    """Reads the rows that ``dump`` returned."""
    return Coverage(
        {(w, e): {name: Retention(most=most, ms=ms) for name, (most, ms) in some.items()} for w, e, some in rows}
    )


def load_row(row: bytes) -> Coverage:
    """The counted history; empty if the row is unreadable: history is counted again."""
    try:
        return load(orjson.loads(row))
    except (ValueError, TypeError, AttributeError):
        log.error("the backfill coverage cannot be read; history is counted again")  # noqa: TRY400
        return Coverage()
