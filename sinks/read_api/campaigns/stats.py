"""Campaigns in; their figures, whole and by variant, out.

Every figure is a number of messages, each counted once per kind however often its event came.

* `opened`, `clicked`: by a person at least once; `machine_opened`, `machine_clicked`: by machines alone (`machines.py`)
* `bounces`: `bounced` by the class of each message's last bounce: `hard`, `soft`, `block`, ..., `unknown`
* `contacts`: different contacts per kind, merged ones being one, with machines as for messages
* `conversions`: messages, or contacts where none is named, that reached the goal; `conversion_events` and
  `conversion_value` are the number of their events and the sum of the value property over all of them
* `rates`: `delivery`, `bounce` and `failure` of `sent`; `open`, `click`, `complaint`, `unsubscribe` and `conversion` of
  `delivered`; `click_to_open` is `clicked` of `opened`; none where that is zero
"""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, cast

from schemas.api.answers.campaigns import CampaignStatsShape, MessageCounts
from schemas.control.control_state import Campaign
from sinks.read_api.campaigns.facts import KINDS, CampaignQuery
from sinks.read_api.request.client import ClickHouseReader

MAX_VALUE_DIGITS = 6
RATES = {
    "delivery": ("delivered", "sent"),
    "bounce": ("bounced", "sent"),
    "failure": ("failed", "sent"),
    "open": ("opened", "delivered"),
    "click": ("clicked", "delivered"),
    "click_to_open": ("clicked", "opened"),
    "complaint": ("complained", "delivered"),
    "unsubscribe": ("unsubscribed", "delivered"),
    "conversion": ("conversions", "delivered"),
}

_COUNTS = {
    **{kind: f"countIf(bitAnd(bits, {bit}) != 0)" for kind, bit in KINDS.items()},
    # a machine's open or click that a person repeated counts as the person's
    **{
        f"machine_{kind}": f"countIf(bitAnd(bits, {3 * KINDS[kind]}) = {KINDS[f'machine_{kind}']})"
        for kind in ("opened", "clicked")
    },
}
_FIGURES = ", ".join(f"{sql} AS {kind}" for kind, sql in _COUNTS.items())
_MESSAGES = """
SELECT campaign_id, variant, {figures}, sumMapIf(map(class, 1), bitAnd(bits, {bounced}) != 0) AS bounces,
    minIf(first_sent, first_sent != 0) AS first_sent
FROM
(
    SELECT any(f.campaign_id) AS campaign_id, max(f.variant) AS variant, groupBitOr(bit) AS bits,
        minIf(ms, bit = {sent}) AS first_sent,
        argMaxIf(if(bounce = '', 'unknown', bounce), (ms, bounce), bit = {bounced}) AS class
    FROM ({messages}) AS f
    GROUP BY key
)
GROUP BY campaign_id, variant
"""
# Of many campaigns: what a message keeps while it is counted is two numbers, which takes half as long. Variants are not
# told apart, and the few bounces are asked for apart.
_MANY = """
SELECT {{ids:Array(String)}}[place] AS campaign_id, {figures},
    minIf(first_sent, first_sent != 0) AS first_sent
FROM
(
    SELECT any(f.place) AS place, groupBitOr(bit) AS bits, minIf(ms, bit = {sent}) AS first_sent
    FROM ({messages}) AS f
    GROUP BY key
)
GROUP BY place
"""
_BOUNCES = """
SELECT {{ids:Array(String)}}[place] AS campaign_id, sumMap(map(class, 1)) AS bounces
FROM
(
    SELECT any(f.place) AS place, argMax(if(bounce = '', 'unknown', bounce), (ms, bounce)) AS class
    FROM ({messages}) AS f
    GROUP BY key
)
GROUP BY place
"""
_CONTACTS = """
SELECT campaign_id, {figures}
FROM
(
    SELECT campaign_id, contact, groupBitOr(bit) AS bits
    FROM ({facts}) WHERE contact != ''
    GROUP BY campaign_id, contact
)
GROUP BY campaign_id
"""
_CONVERSIONS = """
SELECT campaign_id, variant, grouping(variant) AS is_whole, uniqExact(unit) AS conversions,
    uniqExact(event) AS conversion_events, sum(value) AS conversion_value,
    uniqExactIf(contact, contact != '') AS contacts
FROM ({converted})
GROUP BY GROUPING SETS ((campaign_id), (campaign_id, variant))
"""


class CampaignFigures(NamedTuple):
    """``first_sent_ms``: when the first message was sent, which tells a campaign's status."""

    stats: CampaignStatsShape
    first_sent_ms: int | None


async def details_of(
    reader: ClickHouseReader, question: CampaignQuery, *, contacts: bool
) -> dict[str, tuple[CampaignFigures, dict[str, CampaignFigures]]]:
    """Of each campaign the figures of the whole, and of each variant that its messages name."""
    messages = _MESSAGES.format(messages=question.messages, figures=_FIGURES, **KINDS)
    conversions = _CONVERSIONS.format(converted=question.converted)
    queries = [reader.rows(sql, **question.parameters) for sql in (messages, conversions)]
    if contacts:
        contacts_sql = _CONTACTS.format(facts=question.facts, figures=_FIGURES)
        queries.append(reader.rows(contacts_sql, **question.parameters))
    message_rows, reached, *people = await asyncio.gather(*queries)
    return {
        c.id: _one(_of(c, message_rows), _of(c, reached), _of(c, people[0]) if people else None)
        for c in question.campaigns
    }


def _of(campaign: Campaign, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row for row in rows if row["campaign_id"] == campaign.id]


def _one(
    messages: list[dict[str, Any]], reached: list[dict[str, Any]], people: list[dict[str, Any]] | None
) -> tuple[CampaignFigures, dict[str, CampaignFigures]]:
    whole = [row for row in reached if row["is_whole"]]
    total = figures(messages, whole)
    if people is not None:
        total.stats["contacts"] = _contacts(people, whole)
    parts = [row for row in reached if not row["is_whole"]]
    variants = {row["variant"] for row in (*messages, *parts)}
    return total, {
        name: figures([m for m in messages if m["variant"] == name], [p for p in parts if p["variant"] == name])
        for name in sorted(variants)
    }


def _contacts(people: list[dict[str, Any]], reached: list[dict[str, Any]]) -> MessageCounts:
    # the kinds of messages are the fields of the answer, which a type cannot tell from a loop
    return cast("MessageCounts", _counts(people, sum(row["contacts"] for row in reached)))


def _counts(rows: Iterable[Mapping[str, int]], conversions: int) -> dict[str, int]:
    return {kind: sum(row[kind] for row in rows) for kind in KINDS} | {"conversions": conversions}


async def contacts_of(reader: ClickHouseReader, question: CampaignQuery) -> dict[str, MessageCounts]:
    """Of each campaign the different contacts per kind."""
    people, reached = await asyncio.gather(
        reader.rows(_CONTACTS.format(facts=question.facts, figures=_FIGURES), **question.parameters),
        reader.rows(_CONVERSIONS.format(converted=question.converted), **question.parameters),
    )
    whole = [row for row in reached if row["is_whole"]]
    return {c.id: _contacts(_of(c, people), _of(c, whole)) for c in question.campaigns}


async def stats_of(reader: ClickHouseReader, question: CampaignQuery) -> dict[str, CampaignFigures]:
    """Of each campaign the figures of the whole, without contacts."""
    message_rows, bounced, reached = await asyncio.gather(
        *(
            reader.rows(sql, **question.parameters)
            for sql in (
                _MANY.format(messages=question.placed, figures=_FIGURES, **KINDS),
                _BOUNCES.format(messages=question.bounced),
                _CONVERSIONS.format(converted=question.converted),
            )
        )
    )
    classes = {row["campaign_id"]: row["bounces"] for row in bounced}
    messages = [{**row, "bounces": classes.get(row["campaign_id"], {})} for row in message_rows]
    whole = [row for row in reached if row["is_whole"]]
    return {c.id: figures(_of(c, messages), _of(c, whole)) for c in question.campaigns}


def figures(messages: Iterable[dict[str, Any]], reached: Iterable[dict[str, Any]]) -> CampaignFigures:
    rows, goals = list(messages), list(reached)
    counts = _counts(rows, sum(row["conversions"] for row in goals))
    classes = sorted({name for row in rows for name in row["bounces"]})
    stats = {
        **counts,
        "conversion_events": sum(row["conversion_events"] for row in goals),
        "conversion_value": round(sum(row["conversion_value"] for row in goals), MAX_VALUE_DIGITS),
        "bounces": {name: sum(row["bounces"].get(name, 0) for row in rows) for name in classes},
        "rates": {name: _rate(counts[part], counts[of]) for name, (part, of) in RATES.items()},
    }
    first_sent_ms = min((row["first_sent"] for row in rows if row["first_sent"]), default=None)
    return CampaignFigures(cast("CampaignStatsShape", stats), first_sent_ms)  # as in `_contacts`


def _rate(part: int, of: int) -> float | None:
    return round(part / of, 6) if of else None
