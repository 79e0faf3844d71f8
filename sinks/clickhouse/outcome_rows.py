"""Outcomes of accepted events that are not stored in; columns of `event_outcomes` out; pure."""

from typing import Any

from schemas.records import outcomes
from sinks.clickhouse.dedupe import origin_of
from sinks.clickhouse.rows import Columns, Item, Table

_FIELDS = {
    "workspace": "workspace",
    "environment": "environment",
    "source": "source",
    "received_at": "received_ms",
    "outcome": "outcome",
    "_origin_partition": "origin_partition",
    "_origin_offset": "origin_offset",
    "_origin_index": "origin_index",
}


def _columns(rows: list[Any]) -> Columns:
    return [[row[name] for row in rows] for name in _FIELDS.values()]


OUTCOMES = Table(name="event_outcomes", columns=tuple(_FIELDS), columns_of=_columns)
"""Its data are ``EventOutcome``s."""


def of_quarantined(items: list[Item]) -> list[Item]:
    """Returns the outcome of each event of quarantined records."""
    return [
        Item(item.partition, item.offset, nth, outcome)
        for item in items
        for nth, outcome in enumerate(outcomes.of_quarantined(item.datum))
    ]


def passed_over(items: list[Item]) -> dict[Table, list[Item]]:
    """Rows that say of events that they are not stored because their contact was erased."""
    return {
        OUTCOMES: [
            Item(
                item.partition,
                item.offset,
                item.nth,
                outcomes.outcome_of(item.datum, outcomes.SUPPRESSED, origin_of(item.datum)),
            )
            for item in items
        ]
    }
