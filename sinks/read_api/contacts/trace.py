"""An event's id in; its steps through the pipeline, with time, place in Kafka and decision, out.

The tables hold places and causes. Only the times of a few records come from Kafka, which keeps them for seven days.
Effects of other events on the contact are no steps; ``contact_id`` shows them.
"""

from typing import Any, get_args

import orjson

from schemas import topics
from schemas.api.answers.events import EventStep, EventTraceShape, LogPlace, Step
from schemas.records.identity import contact_id as own_id
from schemas.times import iso
from schemas.topics import Topic
from sinks.read_api.contacts.contacts import losers_of, winners_of
from sinks.read_api.contacts.event import missing
from sinks.read_api.request.client import ClickHouseReader
from sinks.read_api.request.record_times import Place, RecordTimes
from sinks.read_api.request.tenant import Tenant

STEPS = get_args(Step)
_TOPICS = {topic.name: topic for topic in (topics.EVENTS, topics.RESOLVED, topics.MERGES, topics.CHANGES)}
MOST_TIMES = 6
"""Most records whose times are read from Kafka."""
MOST = 50
"""Steps of each kind."""

_HOME = "workspace = {workspace:String} AND environment = {environment:String}"
_AT = "toUnixTimestamp64Milli(at) AS at_ms"
_PLACE = "_partition, _offset, _index"
_OF_IDS = f"{_HOME} AND contact_id IN {{ids:Array(String)}} AND event_id = {{id:String}}"
_EVENT = f"""
SELECT event_id, type, contact_id, own_contact_id, identifiers, source, _kind, _key_id, _task_id, {_PLACE},
    _origin_partition, _origin_offset, _origin_index,
    toUnixTimestamp64Milli(received_at) AS received_ms, toUnixTimestamp64Milli(_stored_at) AS stored_ms
FROM events FINAL WHERE {_HOME} AND event_id = {{id:String}} ORDER BY received_at DESC LIMIT 1
"""  # noqa: S608 - constants, as in the next ones
_LINKS = f"""
SELECT a_type, a_value, b_type, b_value, kind, explicit, {_AT}, {_PLACE} FROM links FINAL
WHERE {_HOME} AND a_id = {{own:String}} AND event_id = {{id:String}} ORDER BY _offset, _index LIMIT {MOST}
"""  # noqa: S608
_OVERRIDE = f"""
SELECT winner, event_id, identifier_type, identifier_value, {_AT} FROM contact_overrides FINAL
WHERE {_HOME} AND loser = {{own:String}} LIMIT 1
"""  # noqa: S608
_MERGES = f"""
SELECT loser, winner, {_AT}, {_PLACE} FROM contact_merges FINAL
WHERE {_HOME} AND (loser IN {{ids:Array(String)}} OR winner IN {{ids:Array(String)}}) AND event_id = {{id:String}}
ORDER BY version LIMIT {MOST}
"""  # noqa: S608
_REFUSED = (
    f"SELECT contact_id, type, value, reason, {_AT}, {_PLACE} FROM refused_links FINAL WHERE {_OF_IDS} LIMIT {MOST}"  # noqa: S608
)
_CHANGES = f"""
SELECT segment_id, contact_id, member, reason, segment_version, {_AT}, {_PLACE} FROM membership_changes FINAL
WHERE {_OF_IDS} ORDER BY version LIMIT {MOST}
"""  # noqa: S608
_CONSENTS = f"SELECT consent, state, {_AT}, {_PLACE} FROM consent_changes FINAL WHERE {_OF_IDS} LIMIT {MOST}"  # noqa: S608
_REPEATS = f"""
SELECT toUnixTimestamp64Milli(received_at) AS at_ms, event_id_conflict, _key_id,
    _origin_partition AS _partition, _origin_offset AS _offset, _origin_index AS _index FROM duplicates FINAL
WHERE {_HOME} AND event_id = {{id:String}} AND type = {{type:String}} AND own_contact_id = {{own:String}}
ORDER BY received_at LIMIT {MOST}
"""  # noqa: S608
_DELIVERIES = f"""
SELECT webhook_id, delivery_id, type, attempt, status, response_code, error, duration_ms, {_AT}, {_PLACE}
FROM delivery_attempts FINAL
WHERE {_HOME} AND contact_id IN {{ids:Array(String)}} AND at >= fromUnixTimestamp64Milli({{received:Int64}})
    AND (event_id = {{id:String}} OR position(request_body, {{cause:String}}) > 0)
ORDER BY at LIMIT {MOST}
"""  # noqa: S608


async def trace(
    reader: ClickHouseReader, times: RecordTimes, tenant: Tenant, event_id: str, names: dict[str, str]
) -> EventTraceShape:
    """Returns the trace of an event; ``names`` are segments' names by id. Raises ``ApiError`` (404)."""
    rows = await reader.rows(_EVENT, **tenant.parameters, id=event_id)
    if not rows:
        raise await missing(reader, tenant)
    event = rows[0]
    own = event["own_contact_id"]
    today = (await winners_of(reader, tenant, [own])).get(own, own) if own else ""
    parameters = {**tenant.parameters, "id": event_id, "own": own, "ids": await _ids(reader, tenant, event, today)}
    steps = await _way(reader, event, parameters)
    if own:
        steps += await _merges(reader, parameters)
        steps += await _changes(reader, parameters, names)
    await _put_times(times, steps)
    steps += await _later(reader, event, parameters)
    return {
        "event_id": event_id,
        "type": event["type"],
        "contact_id": today or None,
        "steps": steps,
    }


async def _put_times(times: RecordTimes, steps: list[EventStep]) -> None:
    """Replaces a step's own time by the write time of its record, for the first few places."""
    placed = [(step, _written_at(step["place"])) for step in steps if step["place"] is not None]
    written = await times.of(list(dict.fromkeys(place for _, place in placed))[:MOST_TIMES])
    for step, place in placed:
        if place in written:
            step["at"] = iso(written[place])


def _written_at(place: LogPlace) -> Place:
    return Place(_TOPICS[place["topic"]], place["partition"], place["offset"])


async def _ids(reader: ClickHouseReader, tenant: Tenant, event: dict[str, Any], today: str) -> list[str]:
    """Returns every contact that the event may have belonged to or changed."""
    home = (tenant.workspace, tenant.environment)
    named = {own_id(*home, kind=identifier["type"], value=identifier["value"]) for identifier in event["identifiers"]}
    ids = {event["contact_id"], event["own_contact_id"], today, *named}
    if today:
        ids.update(await losers_of(reader, tenant, today))
    return sorted(ids)


async def _way(reader: ClickHouseReader, event: dict[str, Any], parameters: dict[str, Any]) -> list[EventStep]:
    """Returns the steps from the request to the contact."""
    request = {"source": event["source"], "key_id": event["_key_id"] or None, "task_id": event["_task_id"] or None}
    origin = {name: event[f"_origin{name}"] for name in ("_partition", "_offset", "_index")}
    return [
        _step("request", event["received_ms"], None, {**request, "kind": event["_kind"]}),
        _step("received", None, _place(topics.EVENTS, origin), {}),
        _step(
            "resolved",
            None,
            _place(topics.RESOLVED, event),
            {
                "contact_id": event["contact_id"] or None,
                "own_contact_id": event["own_contact_id"] or None,
                "identifiers": event["identifiers"],
                "because": await _because(reader, event, parameters),
                "taught": await _taught(reader, parameters),
            },
        ),
    ]


async def _because(
    reader: ClickHouseReader, event: dict[str, Any], parameters: dict[str, Any]
) -> dict[str, Any] | None:
    """The event that merged the contact of the strongest identifier into another; ``None`` without a merge."""
    rows = await reader.rows(_OVERRIDE, **parameters) if event["own_contact_id"] else []
    if not rows or rows[0]["winner"] == event["own_contact_id"]:
        return None
    row = rows[0]
    return {
        "from": event["own_contact_id"],
        "into": row["winner"],
        "identifier": {"type": row["identifier_type"], "value": row["identifier_value"]},
        "event_id": row["event_id"],
        "at": iso(row["at_ms"]),
    }


async def _taught(reader: ClickHouseReader, parameters: dict[str, Any]) -> list[dict[str, Any]]:
    """The evidence of the event: pairs of identifiers; a first sighting names one identifier twice."""
    return [
        {
            "identifiers": [{"type": row[f"{side}_type"], "value": row[f"{side}_value"]} for side in ("a", "b")],
            "kind": row["kind"],
            "explicit": bool(row["explicit"]),
            "place": _place(topics.LINKS, row),
        }
        for row in await reader.rows(_LINKS, **parameters)
    ]


async def _merges(reader: ClickHouseReader, parameters: dict[str, Any]) -> list[EventStep]:
    merged = [
        _step("merged", row["at_ms"], _place(topics.MERGES, row), {"from": row["loser"], "into": row["winner"]})
        for row in await reader.rows(_MERGES, **parameters)
    ]
    names = ("contact_id", "type", "value", "reason")
    return merged + [
        _step("refused", row["at_ms"], _place(topics.CHANGES, row), {name: row[name] for name in names})
        for row in await reader.rows(_REFUSED, **parameters)
    ]


async def _changes(reader: ClickHouseReader, parameters: dict[str, Any], names: dict[str, str]) -> list[EventStep]:
    changed = [
        _step(
            "changed",
            row["at_ms"],
            _place(topics.CHANGES, row),
            {
                "segment_id": row["segment_id"],
                "name": names.get(row["segment_id"]),
                "change": "entered" if row["member"] else "left",
                "contact_id": row["contact_id"],
                "reason": row["reason"],
                "since": iso(row["at_ms"]),
                "segment_version": row["segment_version"],
            },
        )
        for row in await reader.rows(_CHANGES, **parameters)
    ]
    return changed + [
        _step(
            "consent",
            row["at_ms"],
            _place(topics.CHANGES, row),
            {"consent": row["consent"], "state": row["state"]},
        )
        for row in await reader.rows(_CONSENTS, **parameters)
    ]


async def _later(reader: ClickHouseReader, event: dict[str, Any], parameters: dict[str, Any]) -> list[EventStep]:
    """Returns the later steps: its row, its copies, and its webhooks."""
    cause = f'"event_id":{orjson.dumps(parameters["id"]).decode()}'
    named = ("webhook_id", "delivery_id", "type", "attempt", "status", "duration_ms")
    return [
        _step("stored", event["stored_ms"], _place(topics.RESOLVED, event), {"table": "events"}),
        *(
            _step(
                "repeated",
                row["at_ms"],
                _place(topics.EVENTS, row),
                {"conflict": bool(row["event_id_conflict"]), "key_id": row["_key_id"] or None},
            )
            for row in await reader.rows(_REPEATS, **parameters, type=event["type"])
        ),
        *(
            _step(
                "delivered",
                row["at_ms"],
                _place(topics.ATTEMPTS, row),
                {
                    **{name: row[name] for name in named},
                    "response_code": row["response_code"] or None,
                    "error": row["error"] or None,
                },
            )
            for row in await reader.rows(_DELIVERIES, **parameters, received=event["received_ms"], cause=cause)
        ),
    ]


def _step(name: Step, at_ms: int | None, place: LogPlace | None, detail: dict[str, Any]) -> EventStep:
    return {"step": name, "at": None if at_ms is None else iso(at_ms), "place": place, "detail": detail}


def _place(topic: Topic, row: dict[str, Any]) -> LogPlace:
    return {
        "topic": topic.name,
        "partition": row["_partition"],
        "offset": row["_offset"],
        "index": row["_index"],
    }
