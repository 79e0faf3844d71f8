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


def _times(record: Segment | Campaign | Webhook) -> tuple[int, int]:
    return min(max(record.created_ms, 0), LATEST_MS), min(max(record.updated_ms, 0), LATEST_MS)


def _segment(segment: Segment) -> tuple[Any, ...]:
    rule = "" if segment.kind == "static" else orjson.dumps(segment.rule).decode()
    return segment.name, segment.kind, rule, min(max(segment.version, 0), MOST), *_times(segment)


def _campaign(campaign: Campaign) -> tuple[Any, ...]:
    goal = campaign.conversion
    return (
        *(campaign.name, campaign.kind, campaign.channel, campaign.status, min(max(campaign.number, 0), MOST)),
        [variant.model_dump() for variant in campaign.variants],
        *(("", "", "") if goal is None else (goal.event, goal.window, goal.value or "")),
        *_times(campaign),
    )


def _webhook(webhook: Webhook) -> tuple[Any, ...]:
    return (
        *(webhook.url, list(webhook.types), list(webhook.segments), webhook.campaign, webhook.status, webhook.reason),
        *_times(webhook),
    )


NAME_TABLES = (
    NameTable(
        name="segments",
        id_column="segment_id",
        columns=("name", "kind", "rule", "version", "created_at", "updated_at"),
        definitions=lambda state: (segment for home in state.segments.values() for segment in home.values()),
        values_of=_segment,
    ),
    NameTable(
        name="campaigns",
        id_column="campaign_id",
        columns=(
            *("name", "kind", "channel", "status", "number", "variants"),
            *("goal_event", "goal_window", "goal_value", "created_at", "updated_at"),
        ),
        definitions=lambda state: (campaign for home in state.campaigns.values() for campaign in home.values()),
        values_of=_campaign,
    ),
    NameTable(
        name="webhooks",
        id_column="webhook_id",
        columns=("url", "types", "segments", "campaign_id", "status", "reason", "created_at", "updated_at"),
        definitions=lambda state: (webhook for home in state.webhooks.values() for webhook in home.values()),
        values_of=_webhook,
    ),
)
