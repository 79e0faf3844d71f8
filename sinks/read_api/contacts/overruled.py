"""A stored event in; a warning out if the contact already had newer values for all of the event's values.

The last write of an attribute or consent wins by time, so such an event changed nothing. Values of the same millisecond
do not overrule each other: the events of a client's batch may share one time.
"""

from typing import Any

import orjson

from schemas.times import iso
from schemas.warning import warning
from sinks.read_api.contacts.contacts import losers_of
from sinks.read_api.request.client import ClickHouseReader
from sinks.read_api.request.tenant import Tenant

_PROFILE = """
SELECT _profile AS profile FROM events
WHERE workspace = {workspace:String} AND environment = {environment:String}
  AND event_id = {id:String} AND type = {type:String} AND toUnixTimestamp64Milli(received_at) = {received_ms:Int64}
LIMIT 1
"""
_WRITTEN = """
WITH (least(timestamp, received_at), event_id) > (fromUnixTimestamp64Milli({stamp_ms:Int64}), {id:String}) AS later
SELECT
    groupUniqArrayArrayIf(arrayIntersect(JSONExtractKeys(_profile, 'set'), {names:Array(String)}), later) AS set,
    groupUniqArrayArray(arrayIntersect(JSONExtractKeys(_profile, 'set'), {firsts:Array(String)})) AS set_ever,
    groupUniqArrayArrayIf(
        arrayIntersect(JSONExtractKeys(_profile, 'set_once'), {firsts:Array(String)}), NOT later) AS set_once,
    groupUniqArrayArrayIf(arrayIntersect(
        arrayConcat(JSONExtractKeys(_profile, 'consents'), JSONExtractKeys(_profile, 'consent_state')),
        {consents:Array(String)}), later) AS consents
FROM events
WHERE workspace = {workspace:String} AND environment = {environment:String} AND own_contact_id IN {ids:Array(String)}
  AND _profile != '' AND received_at < fromUnixTimestamp64Milli({received_ms:Int64})
"""


async def warnings_of(reader: ClickHouseReader, tenant: Tenant, row: dict[str, Any]) -> list[str]:
    """``row`` has the event's id, type, times and contact."""
    rows = await reader.rows(
        _PROFILE, **tenant.parameters, id=row["event_id"], type=row["type"], received_ms=row["received_ms"]
    )
    profile = orjson.loads(rows[0]["profile"]) if rows and rows[0]["profile"] else {}
    if not row["contact_id"] or any(profile.get(name) for name in ("device", "devices")):
        return []
    names, firsts = _names(profile, "set"), _names(profile, "set_once")
    consents = _names(profile, "consents") | _names(profile, "consent_state")
    if not names | consents:
        return []
    (written,) = await reader.rows(
        _WRITTEN,
        **tenant.parameters,
        ids=[row["contact_id"], *await losers_of(reader, tenant, row["contact_id"])],
        id=row["event_id"],
        stamp_ms=min(row["timestamp_ms"], row["received_ms"]),
        received_ms=row["received_ms"],
        names=sorted(names),
        firsts=sorted(firsts - names),
        consents=sorted(consents),
    )
    missed = (names - set(written["set"])) | (consents - set(written["consents"]))
    if missed or firsts - names - {*written["set_ever"], *written["set_once"]}:
        return []
    text = f"nothing was changed: all of it had been written for a time after {iso(row['timestamp_ms'])} when it came"
    return [warning("older_than_known", text)]


def _names(profile: Any, place: str) -> set[str]:
    values = profile.get(place) if isinstance(profile, dict) else None
    return set(values) if isinstance(values, dict) else set()
