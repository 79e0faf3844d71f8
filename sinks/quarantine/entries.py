"""A selection of records in quarantine in; SQL that finds them with their outcomes, and its parameters, out; pure.

A record that failed after a replay is a new one at the place of that replay: so it is known what it is a replay of.
"""

# ruff: noqa: S608 - texts are made of constants, values are parameters

from typing import Any

from schemas.control.quarantine_jobs import QuarantineFilter
from sinks.quarantine.decision import QuarantineEntry

LATEST_MS = 9_000_000_000_000
_PLACE = "topic, `partition`, `offset`, `index`"
_ID = "concat(topic, ':', toString(`partition`), ':', toString(`offset`), ':', toString(`index`))"
_MINE = "(workspace = {workspace:String} OR ({all:UInt8} AND workspace = ''))"
_CHOSEN = (
    f"{_MINE} AND at BETWEEN fromUnixTimestamp64Milli({{since_ms:Int64}})"
    " AND fromUnixTimestamp64Milli({until_ms:Int64})"
    " AND ({topic:String} = '' OR topic = {topic:String}) AND ({reason:String} = '' OR reason = {reason:String})"
    f" AND (empty({{ids:Array(String)}}) OR ({_PLACE}) IN"
    " (SELECT p[1], toInt32OrZero(p[2]), toInt64OrZero(p[3]), toInt32OrZero(p[4]) FROM"
    " (SELECT splitByChar(':', arrayJoin({ids:Array(String)})) AS p)))"
)
_OUTCOMES = f"SELECT {_PLACE}, outcome, job, replay_partition, replay_offset, at AS done FROM quarantine_outcomes FINAL"
_REPLAYED = (
    # two steps: an alias with a column's name would also replace the column in the id's expression
    "SELECT topic, at_partition AS `partition`, at_offset AS `offset`, replay_of, replays FROM"
    f" (SELECT topic, replay_partition AS at_partition, replay_offset AS at_offset, {_ID} AS replay_of, replays"
    " FROM quarantine_outcomes FINAL WHERE outcome = 'replayed')"
)


def _select(columns: str, where: str, source: str = "") -> str:
    """``source``: expressions that make the columns, where the table does not have them."""
    return (
        f"SELECT {_PLACE}, {_ID} AS id, {columns}, toUnixTimestamp64Milli(at) AS at_ms,"
        " outcome, job, replay_partition, replay_offset, toUnixTimestamp64Milli(done) AS done_ms, replay_of, replays"
        f" FROM (SELECT {_PLACE}, {source or columns}, at FROM quarantine FINAL WHERE {where}) AS q"
        f" LEFT JOIN ({_OUTCOMES}) AS o USING ({_PLACE})"
        f" LEFT JOIN ({_REPLAYED}) AS r USING (topic, `partition`, `offset`)"
    )


_SHOWN = "workspace, event_id, reason, detail"
LIST = (
    f"{_select(_SHOWN, _CHOSEN)}"
    " WHERE ({outcome:String} = '' OR if(outcome IN ('replayed', 'discarded'), outcome, 'open') = {outcome:String})"
    " AND (at_ms, id) < ({before_ms:Int64}, {before_id:String})"
    " ORDER BY at_ms DESC, id DESC LIMIT {limit:UInt32} OFFSET {skip:UInt64}"
)
COUNTS = (
    "SELECT topic, reason, if(outcome IN ('replayed', 'discarded'), outcome, 'open') AS state,"
    " count() AS records, min(at_ms) AS oldest_ms"
    f" FROM ({_select(_SHOWN, _CHOSEN)}) GROUP BY topic, reason, state ORDER BY records DESC, topic, reason, state"
)
ONE = _select(f"{_SHOWN}, key_hex, payload_hex", _CHOSEN, f"{_SHOWN}, hex(key) AS key_hex, hex(payload) AS payload_hex")
OPEN_IDS = (
    f"SELECT at_ms, id FROM ({_select('workspace', _CHOSEN)})"
    " WHERE outcome NOT IN ('replayed', 'discarded') AND (at_ms, id) > ({after_ms:Int64}, {after_id:String})"
    " ORDER BY at_ms, id LIMIT {limit:UInt32}"
)
"""The open records in their order, without their bytes: a query by id reads the bytes of a few at a time."""
DISCARD = (
    f"INSERT INTO quarantine_outcomes ({_PLACE}, workspace, outcome, job, replays, at, step)"
    f" SELECT {_PLACE}, workspace, 'discarded', {{job:String}}, replays, now64(3), 2"
    f" FROM ({_select('workspace', _CHOSEN)}) WHERE outcome NOT IN ('replayed', 'discarded')"
)
DONE = "SELECT outcome, count() FROM quarantine_outcomes FINAL WHERE job = {job:String} GROUP BY outcome"
ANNOUNCED = (
    f"SELECT {_PLACE}, workspace, job, replays, replay_partition, replay_offset"
    " FROM quarantine_outcomes FINAL WHERE outcome = 'replaying'"
)
OLDEST = (
    "SELECT count(), toUnixTimestamp64Milli(min(at)) FROM quarantine FINAL"
    f" WHERE ({_PLACE}) NOT IN (SELECT {_PLACE} FROM quarantine_outcomes FINAL WHERE step = 2)"
)


def parameters(chosen: QuarantineFilter, workspace: str, *, unowned: bool) -> dict[str, Any]:
    """Returns the parameters of the queries with a selection."""
    return {
        "workspace": workspace,
        "all": int(unowned),
        "since_ms": chosen.since_ms,
        "until_ms": chosen.until_ms,
        "topic": chosen.topic,
        "reason": chosen.reason,
        "ids": list(chosen.ids),
    }


def entry_of(row: dict[str, Any]) -> QuarantineEntry:
    """Converts a row of ``ONE``; its bytes come in hex, as the driver changes bytes that are not UTF-8."""
    return QuarantineEntry(
        id=(row["topic"], row["partition"], row["offset"], row["index"]),
        workspace=row["workspace"],
        key=bytes.fromhex(row["key_hex"]),
        payload=bytes.fromhex(row["payload_hex"]),
        replays=row["replays"],
        outcome=row["outcome"],
    )
