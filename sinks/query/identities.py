"""A contact in; its identifiers, the evidence that ties each of them, refused links and the history of merges out."""

from collections import defaultdict
from typing import Any

from schemas.times import iso
from sinks.query.contacts import Home, losers_of, required
from sinks.query.reader import Reader

_LINKS = """
SELECT a_id, a_type, a_value, b_id, b_type, b_value, event_id, kind, toUnixTimestamp64Milli(at) AS at_ms
FROM links FINAL
WHERE workspace = {workspace:String} AND environment = {environment:String}
  AND a_id IN {ids:Array(String)} AND b_id IN {ids:Array(String)}
ORDER BY at_ms, event_id
"""

_MERGES = """
SELECT loser, winner, event_id, toUnixTimestamp64Milli(at) AS at_ms
FROM contact_merges FINAL
WHERE workspace = {workspace:String} AND environment = {environment:String} AND loser IN {ids:Array(String)}
ORDER BY version
"""

_REFUSED = """
SELECT type, value, reason, event_id, toUnixTimestamp64Milli(at) AS at_ms
FROM refused_links FINAL
WHERE workspace = {workspace:String} AND environment = {environment:String} AND contact_id IN {ids:Array(String)}
ORDER BY at_ms, event_id
"""


async def identity(reader: Reader, home: Home, text: str) -> dict[str, Any]:
    """Evidence is shown only where both of its identifiers belong to the contact today."""
    row = await required(reader, home, text)
    ids = [row["contact_id"], *await losers_of(reader, home, row["contact_id"])]
    links = await reader.rows(_LINKS, **home.parameters, ids=ids)
    merges = await reader.rows(_MERGES, **home.parameters, ids=ids)
    refused = await reader.rows(_REFUSED, **home.parameters, ids=ids)
    evidence = _evidence(links)
    named = {(i["type"], i["value"]) for i in row["identifiers"]} | evidence.keys()
    return {
        "contact_id": row["contact_id"],
        "identifiers": [_identifier(k, v, evidence.get((k, v), []), row["created_ms"]) for k, v in sorted(named)],
        "merges": [
            {"from": m["loser"], "into": m["winner"], "at": iso(m["at_ms"]), "event_id": m["event_id"]} for m in merges
        ],
        "refused": [
            {name: r[name] for name in ("type", "value", "reason", "event_id")} | {"at": iso(r["at_ms"])}
            for r in refused
        ],
    }


def _evidence(links: list[dict[str, Any]]) -> dict[tuple[str, str], list[dict[str, Any]]]:
    """Identifier -> the links that name it, oldest first; a first sighting names nobody else."""
    found: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for link in links:
        a, b = (link["a_type"], link["a_value"]), (link["b_type"], link["b_value"])
        for own, other in {(a, b), (b, a)}:
            found[own].append({**link, "with": None if a == b else {"type": other[0], "value": other[1]}})
    return found


def _identifier(kind: str, value: str, links: list[dict[str, Any]], created_ms: int) -> dict[str, Any]:
    return {
        "type": kind,
        "value": value,
        "since": iso(min((link["at_ms"] for link in links), default=created_ms)),
        "evidence": [
            {"event_id": k["event_id"], "kind": k["kind"], "at": iso(k["at_ms"]), "with": k["with"]} for k in links
        ],
    }
