"""Definitions in; rows of `segments`, `campaigns` and `webhooks` out, without any secret; pure.

Times are epoch milliseconds, as DateTime64(3) holds them.
"""

import hashlib
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

from schemas.control.control_state import Campaign, ControlState, Segment, Webhook
from schemas.records.outcomes import LATEST_MS

log = logging.getLogger(__name__)

MOST = 2**32 - 1
"""That a UInt32 holds."""


class RowKey(NamedTuple):
    workspace: str
    environment: str
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NameTable:
    """``values_of`` gives the values of ``columns``, which stand between the key and `deleted`."""

    name: str
    id_column: str
    columns: tuple[str, ...]
    definitions: Callable[[ControlState], Iterator[Any]]
    values_of: Callable[[Any], tuple[Any, ...]]

    @property
    def key(self) -> tuple[str, str, str]:
        return "workspace", "environment", self.id_column

    @property
    def content(self) -> tuple[str, ...]:
        """All columns but `deleted`, `_digest` and `_version`."""
        return (*self.key, *self.columns)

    def rows(self, state: ControlState) -> dict[RowKey, tuple[Any, ...]]:
        """Values of ``content``, by key; a definition that no row can hold is passed over."""
        rows = {}
        for definition in self.definitions(state):
            key = RowKey(definition.workspace, definition.environment, definition.id)
            try:
                rows[key] = (*key, *self.values_of(definition))
            except (TypeError, ValueError, RecursionError) as error:
                log.error("no row of %s can be made of %s: %s", self.name, definition.id, type(error).__name__)  # noqa: TRY400
        return rows


def digest(row: tuple[Any, ...]) -> str:
    return hashlib.blake2b(orjson.dumps(row), digest_size=16).hexdigest()


def _times(one: Segment | Campaign | Webhook) -> tuple[int, int]:
    return min(max(one.created_ms, 0), LATEST_MS), min(max(one.updated_ms, 0), LATEST_MS)


def _segment(one: Segment) -> tuple[Any, ...]:
    rule = "" if one.kind == "static" else orjson.dumps(one.rule).decode()
    return one.name, one.kind, rule, min(max(one.version, 0), MOST), *_times(one)


def _campaign(one: Campaign) -> tuple[Any, ...]:
    goal = one.conversion
    return (
        *(one.name, one.kind, one.channel, one.status, min(max(one.number, 0), MOST)),
        [variant.model_dump() for variant in one.variants],
        *(("", "", "") if goal is None else (goal.event, goal.window, goal.value or "")),
        *_times(one),
    )


def _webhook(one: Webhook) -> tuple[Any, ...]:
    return (
        *(one.url, list(one.types), list(one.segments), one.campaign, one.status, one.reason),
        *_times(one),
    )


NAME_TABLES = (
    NameTable(
        name="segments",
        id_column="segment_id",
        columns=("name", "kind", "rule", "version", "created_at", "updated_at"),
        definitions=lambda state: (one for home in state.segments.values() for one in home.values()),
        values_of=_segment,
    ),
    NameTable(
        name="campaigns",
        id_column="campaign_id",
        columns=(
            *("name", "kind", "channel", "status", "number", "variants"),
            *("goal_event", "goal_window", "goal_value", "created_at", "updated_at"),
        ),
        definitions=lambda state: (one for home in state.campaigns.values() for one in home.values()),
        values_of=_campaign,
    ),
    NameTable(
        name="webhooks",
        id_column="webhook_id",
        columns=("url", "types", "segments", "campaign_id", "status", "reason", "created_at", "updated_at"),
        definitions=lambda state: (one for home in state.webhooks.values() for one in home.values()),
        values_of=_webhook,
    ),
)
