"""A contact in; its identifiers, the evidence of each, refused links and the history of merges out.

1. Retracted evidence is not shown, and a refusal only while the two identifiers are apart.
2. A separated pair is shown until a lift or an explicit call.
3. The history holds each change of an id's contact; an id that became its own contact again was split off.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from schemas.api.answers.contacts import (
    ContactIdentityShape,
    ContactTiesShape,
    Evidence,
    IdentifierEvidence,
    Separation,
)
from schemas.api.answers.fields import Pair
from schemas.records.identity import contact_id
from schemas.times import iso
from sinks.clickhouse.link_rows import LIFTED
from sinks.read_api.contacts.contacts import losers_of, required
from sinks.read_api.request.client import ClickHouseReader
from sinks.read_api.request.tenant import Tenant

_LINKS = """
SELECT a_id, a_type, a_value, b_id, b_type, b_value, event_id, kind, explicit, toUnixTimestamp64Milli(at) AS at_ms
FROM links FINAL
WHERE workspace = {workspace:String} AND environment = {environment:String}
  AND a_id IN {ids:Array(String)} AND b_id IN {ids:Array(String)}
ORDER BY at_ms, event_id
"""

_RETRACTED = """
SELECT a_id, b_id, event_id, toUnixTimestamp64Milli(at) AS at_ms
FROM retracted_links FINAL
WHERE workspace = {workspace:String} AND environment = {environment:String}
  AND (a_id IN {ids:Array(String)} OR b_id IN {ids:Array(String)})
"""

_MERGES = """
SELECT loser, winner, event_id, toUnixTimestamp64Milli(at) AS at_ms
FROM contact_merges FINAL
WHERE workspace = {workspace:String} AND environment = {environment:String}
  AND (loser IN {ids:Array(String)} OR winner IN {ids:Array(String)})
ORDER BY version
"""

_REFUSED = """
SELECT contact_id, type, value, reason, event_id, toUnixTimestamp64Milli(at) AS at_ms
FROM refused_links FINAL
WHERE workspace = {workspace:String} AND environment = {environment:String} AND contact_id IN {ids:Array(String)}
ORDER BY at_ms, event_id
"""


_NAMES = """
SELECT DISTINCT a_id, a_type, a_value, b_id, b_type, b_value FROM links
WHERE workspace = {workspace:String} AND environment = {environment:String}
  AND (a_id IN {ids:Array(String)} OR b_id IN {ids:Array(String)})
  AND (a_id IN {far:Array(String)} OR b_id IN {far:Array(String)})
"""

IdPair = tuple[str, str]
"""Own contact ids, the smaller one first."""


@dataclass(frozen=True, slots=True)
class Retractions:
    """Retractions of pairs: single events, times until which no evidence counts, and the last separations and lifts."""

    events: frozenset[tuple[str, str, str]]
    until_ms: dict[IdPair, int]
    separated_ms: dict[IdPair, int]
    lifted_ms: dict[IdPair, int]

    def cover(self, a: str, b: str, row: dict[str, Any]) -> bool:
        """Whether a retraction excludes a link or refusal."""
        pair = (min(a, b), max(a, b))
        if (*pair, row["event_id"]) in self.events or row["at_ms"] <= self.until_ms.get(pair, 0):
            return True
        return not row.get("explicit") and self.separates(pair, row["at_ms"])

    def separates(self, pair: IdPair, at_ms: int) -> bool:
        split, lift = self.separated_ms.get(pair), self.lifted_ms.get(pair, -1)
        return split is not None and split < at_ms and not split <= lift < at_ms

    def standing(self) -> dict[IdPair, int]:
        """Pairs that are separated today, with the start of the separation."""
        return {pair: at_ms for pair, at_ms in self.separated_ms.items() if self.lifted_ms.get(pair, -1) < at_ms}


async def _retractions(reader: ClickHouseReader, tenant: Tenant, ids: list[str]) -> Retractions:
    rows = await reader.rows(_RETRACTED, **tenant.parameters, ids=ids)
    separated: dict[IdPair, int] = {}
    for row in rows:
        if row["event_id"] != LIFTED:
            pair = (row["a_id"], row["b_id"])
            separated[pair] = max(row["at_ms"], separated.get(pair, 0))
    return Retractions(
        frozenset((r["a_id"], r["b_id"], r["event_id"]) for r in rows if r["event_id"] not in ("", LIFTED)),
        {(r["a_id"], r["b_id"]): r["at_ms"] for r in rows if not r["event_id"]},
        separated,
        {(r["a_id"], r["b_id"]): r["at_ms"] for r in rows if r["event_id"] == LIFTED},
    )


async def _separated(reader: ClickHouseReader, tenant: Tenant, ids: list[str], gone: Retractions) -> list[Separation]:
    """Returns pairs with exactly one identifier of the contact: ``a`` is the contact's."""
    here = set(ids)
    pairs = {p: at for p, at in gone.standing().items() if (p[0] in here) != (p[1] in here)}
    if not pairs:
        return []
    names: dict[str, Pair] = {}
    for row in await reader.rows(
        _NAMES, **tenant.parameters, ids=ids, far=sorted({n for p in pairs for n in p} - here)
    ):
        for side in ("a", "b"):
            names[row[f"{side}_id"]] = {"type": row[f"{side}_type"], "value": row[f"{side}_value"]}
    separated: list[Separation] = []
    for pair, at_ms in sorted(pairs.items(), key=lambda entry: entry[1]):
        near, far = pair if pair[0] in here else pair[::-1]
        if near in names and far in names:
            separated.append({"a": names[near], "b": names[far], "at": iso(at_ms)})
    return separated


async def _links(reader: ClickHouseReader, tenant: Tenant, ids: list[str], gone: Retractions) -> list[dict[str, Any]]:
    links = await reader.rows(_LINKS, **tenant.parameters, ids=ids)
    return [k for k in links if k["a_id"] == k["b_id"] or not gone.cover(k["a_id"], k["b_id"], k)]


async def identity(reader: ClickHouseReader, tenant: Tenant, text: str) -> ContactIdentityShape:
    """Returns evidence only if both of its identifiers belong to the contact today."""
    row = await required(reader, tenant, text)
    ids = [row["contact_id"], *await losers_of(reader, tenant, row["contact_id"])]
    gone = await _retractions(reader, tenant, ids)
    links = await _links(reader, tenant, ids, gone)
    merges = await reader.rows(_MERGES, **tenant.parameters, ids=ids)
    refused = await reader.rows(_REFUSED, **tenant.parameters, ids=ids)
    evidence = _evidence(links)
    named = {(i["type"], i["value"]) for i in row["identifiers"]} | evidence.keys()
    return {
        "contact_id": row["contact_id"],
        "identifiers": [_identifier(k, v, evidence.get((k, v), []), row["created_ms"]) for k, v in sorted(named)],
        "merges": [
            {"from": m["loser"], "into": m["winner"], "at": iso(m["at_ms"]), "event_id": m["event_id"]}
            for m in _changes_of(merges)
        ],
        "refused": [
            {
                "type": r["type"],
                "value": r["value"],
                "reason": r["reason"],
                "event_id": r["event_id"],
                "at": iso(r["at_ms"]),
            }
            for r in refused
            if not _is_over(r, tenant, ids, gone)
        ],
        "separated": await _separated(reader, tenant, ids, gone),
    }


async def ties(reader: ClickHouseReader, tenant: Tenant, text: str) -> ContactTiesShape:
    """Returns the ties that a split of the contact may cut, and its members; ``settled``: its own row is the newest."""
    row = await required(reader, tenant, text)
    ids = [row["contact_id"], *await losers_of(reader, tenant, row["contact_id"])]
    gone = await _retractions(reader, tenant, ids)
    links = await _links(reader, tenant, ids, gone)
    return {
        "contact_id": row["contact_id"],
        "members": ids,
        "settled": not row["merged_into"],
        "ties": [
            {
                "event_id": k["event_id"],
                "a": {"type": k["a_type"], "value": k["a_value"]},
                "b": {"type": k["b_type"], "value": k["b_value"]},
            }
            for k in links
            if k["a_id"] != k["b_id"]
        ],
        "separated": await _separated(reader, tenant, ids, gone),
    }


def _changes_of(merges: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Returns changes, without merges that repeat an id's current contact."""
    into: dict[str, str] = {}
    for merge in merges:
        if into.get(merge["loser"], merge["loser"]) != merge["winner"]:
            yield merge
        into[merge["loser"]] = merge["winner"]


def _is_over(refused: dict[str, Any], tenant: Tenant, ids: Collection[str], gone: Retractions) -> bool:
    far = contact_id(tenant.workspace, tenant.environment, refused["type"], refused["value"])
    pair = (min(refused["contact_id"], far), max(refused["contact_id"], far))
    if far in ids:
        return True
    if refused["reason"] == "split":
        return pair not in gone.standing()
    return (*pair, refused["event_id"]) in gone.events or refused["at_ms"] <= gone.until_ms.get(pair, 0)


def _evidence(links: list[dict[str, Any]]) -> dict[tuple[str, str], list[tuple[int, Evidence]]]:
    """Identifier -> time and evidence, oldest first; a first-sighting link names one identifier alone."""
    evidence: dict[tuple[str, str], list[tuple[int, Evidence]]] = defaultdict(list)
    for link in links:
        a, b = (link["a_type"], link["a_value"]), (link["b_type"], link["b_value"])
        for own, other in {(a, b), (b, a)}:
            shown: Evidence = {
                "event_id": link["event_id"],
                "kind": link["kind"],
                "at": iso(link["at_ms"]),
                "with": None if a == b else {"type": other[0], "value": other[1]},
            }
            evidence[own].append((link["at_ms"], shown))
    return evidence


def _identifier(kind: str, value: str, evidence: list[tuple[int, Evidence]], created_ms: int) -> IdentifierEvidence:
    return {
        "type": kind,
        "value": value,
        "since": iso(min((at_ms for at_ms, _ in evidence), default=created_ms)),
        "evidence": [shown for _, shown in evidence],
    }
