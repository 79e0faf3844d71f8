"""A segment and a contact in; the reasons of its membership, from the present stored rows, out.

The segments stage's own functions evaluate the contact's events and record. ``since`` is the stage's last output;
``member`` is ahead of it until the stage has caught up.
"""

from typing import Any

import orjson

from schemas.api.answers.segments import ExplainedLeaf, ExplanationShape
from schemas.control.control_state import Segment
from schemas.errors import ApiError
from schemas.records import identity
from schemas.records.records import TRACK
from schemas.records.sameness import SENDER_LENGTH
from schemas.rules import facts
from schemas.rules.explain import Explanation, Leaf, explain_rule
from schemas.rules.facts import ContactFacts, EventFact
from schemas.rules.nodes import InSegment, Rule
from schemas.rules.rule_tree import all_leaves
from schemas.rules.windows import MOST_EVENTS, MOST_FUTURE
from schemas.times import iso
from sinks.read_api.contacts import contacts
from sinks.read_api.request.client import ClickHouseReader
from sinks.read_api.request.tenant import Tenant

_EVENTS = """
SELECT event_id, right(own_contact_id, {length:UInt8}) AS sender, type,
    toUnixTimestamp64Milli(timestamp) AS time_ms, properties
FROM
(
    SELECT event_id, own_contact_id, type, timestamp, properties FROM events
    WHERE workspace = {workspace:String} AND environment = {environment:String} AND contact_id IN {ids:Array(String)}
      AND type IN {types:Array(String)} AND _kind = {kind:String}
    ORDER BY received_at LIMIT 1 BY event_id, type, own_contact_id
)
ORDER BY timestamp DESC, (event_id, sender) DESC LIMIT {most:UInt32} BY type
"""
_MEMBERSHIPS = """
SELECT segment_id, argMax(toUnixTimestamp64Milli(at), version) AS since_ms
FROM contact_memberships
WHERE workspace = {workspace:String} AND environment = {environment:String} AND contact_id = {id:String}
  AND segment_id IN {segments:Array(String)}
GROUP BY segment_id
HAVING argMax(member, version) = 1
"""
MOST_READ = 20 * (MOST_EVENTS + MOST_FUTURE)
"""The latest events of one type, before a rule's ``where``."""


async def explain(
    reader: ClickHouseReader, tenant: Tenant, segment_and_rule: tuple[Segment, Rule], text: str, now_ms: int
) -> ExplanationShape:
    """Returns a segment's whole rule with its verdicts; raises ``ApiError`` (404) for an unknown contact."""
    segment, tree = segment_and_rule
    if not text:
        raise ApiError("missing_field", "contact is needed: a contact id or type:value", "contact")
    row = await contacts.required(reader, tenant, text)
    contact_id = row["contact_id"]
    listed = [leaf.segment_id for leaf in all_leaves(tree) if isinstance(leaf, InSegment) and leaf.rule is None]
    members = await reader.rows(_MEMBERSHIPS, **tenant.parameters, id=contact_id, segments=[segment.id, *listed])
    since = {member["segment_id"]: member["since_ms"] for member in members}
    identifiers = _by_type(row["identifiers"])
    contact = ContactFacts(
        attributes=_entries(row["attributes"]),
        consents=_entries(row["consents"]),
        counts=facts.counts_of(tree, await _seen(reader, tenant, contact_id, tree), now_ms),
        members=since,
        identifiers=identifiers,
        is_identified=any(map(identity.is_known, identifiers)),
    )
    explanation = explain_rule(tree, contact, now_ms)
    since_ms = since.get(segment.id) if explanation.member else None
    return shape(explanation, since_ms, segment.version)


def shape(explanation: Explanation, since_ms: int | None, version: int) -> ExplanationShape:
    """``since_ms`` is the start of the membership, ``version`` that of the rule."""
    return {
        "member": explanation.member,
        "since": None if since_ms is None else iso(since_ms),
        "version": version,
        "leaves": [_leaf(leaf) for leaf in explanation.leaves],
        "changes_at": None if explanation.changes_ms is None else iso(explanation.changes_ms),
    }


def _leaf(record: Leaf) -> ExplainedLeaf:
    leaf: ExplainedLeaf = {
        "path": record.path,
        "met": record.met,
        "value": record.value,
        "threshold": record.threshold,
        "events": list(record.events),
    }
    if record.truncated:
        leaf["truncated"] = True
    return leaf


async def _seen(reader: ClickHouseReader, tenant: Tenant, contact_id: str, tree: Rule) -> list[EventFact]:
    types = sorted(facts.counted_for(tree))
    if not types:
        return []
    ids = [contact_id, *await contacts.losers_of(reader, tenant, contact_id)]
    rows = await reader.rows(
        _EVENTS, **tenant.parameters, ids=ids, types=types, kind=TRACK, most=MOST_READ, length=SENDER_LENGTH
    )
    return [
        EventFact(
            time_ms=e["time_ms"],
            event_id=e["event_id"],
            sender=e["sender"],
            type=e["type"],
            properties=orjson.loads(e["properties"]),
        )
        for e in rows
    ]


def _entries(document: str) -> dict[str, list[Any]]:
    # the record keeps only values, not their events
    return {name: [value, 0, ""] for name, value in orjson.loads(document).items()}


def _by_type(identifiers: list[Any]) -> dict[str, list[str]]:
    ids_by_type: dict[str, list[str]] = {}
    for identifier in identifiers:
        kind, value = (identifier["type"], identifier["value"]) if isinstance(identifier, dict) else identifier
        ids_by_type.setdefault(kind, []).append(value)
    return ids_by_type
