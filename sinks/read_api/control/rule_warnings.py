"""A rule in; a warning for each event, property and attribute in it that this environment has never seen, out.

1. A rule may come before its first event, so nothing is refused. Warnings list similar names: most are typing errors.
2. Work is bounded: late results are left out. A name counts as unseen only if all rows were searched.
"""

import asyncio
import logging
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

from clickhouse_connect.driver.exceptions import ClickHouseError

from schemas.errors import ApiError
from schemas.rules import rule_tree
from schemas.rules.compare import names_of
from schemas.rules.conditions import needs
from schemas.rules.nodes import Rule
from schemas.warning import warning
from sinks.read_api.request.client import ClickHouseReader
from sinks.read_api.request.tenant import Tenant

log = logging.getLogger(__name__)

WITHIN_S = 2.0
MOST_LOOKED_UP = 16
"""Names of each kind; a rule with more is not asked about the others."""
MOST_SIMILAR = 3
_TYPES = """
SELECT DISTINCT type AS name FROM events
WHERE workspace = {workspace:String} AND environment = {environment:String} AND type IN {names:Array(String)}
SETTINGS max_execution_time = 1
"""
_ALL_TYPES = """
SELECT DISTINCT type AS name FROM events
WHERE workspace = {workspace:String} AND environment = {environment:String}
LIMIT 2000 SETTINGS max_execution_time = 1, timeout_overflow_mode = 'break'
"""
_PROPERTIES = """
SELECT DISTINCT arrayJoin(JSONExtractKeys(properties)) AS name FROM
(
    SELECT properties FROM events
    WHERE workspace = {workspace:String} AND environment = {environment:String} AND type = {type:String} LIMIT 2000
)
LIMIT 2000 SETTINGS max_execution_time = 1, timeout_overflow_mode = 'break'
"""
_PROPERTY = """
SELECT 1 AS seen FROM events
WHERE workspace = {workspace:String} AND environment = {environment:String} AND type = {type:String}
    AND arrayExists(name -> JSONHas(properties, name), {names:Array(String)})
LIMIT 1 SETTINGS max_execution_time = 1
"""
_ATTRIBUTES = """
SELECT DISTINCT arrayJoin(JSONExtractKeys(attributes)) AS name FROM
(SELECT attributes FROM contacts WHERE workspace = {workspace:String} AND environment = {environment:String} LIMIT 2000)
LIMIT 2000 SETTINGS max_execution_time = 1, timeout_overflow_mode = 'break'
"""
_ATTRIBUTE = """
SELECT 1 AS seen FROM contacts
WHERE workspace = {workspace:String} AND environment = {environment:String}
    AND arrayExists(name -> JSONHas(attributes, name), {names:Array(String)})
LIMIT 1 SETTINGS max_execution_time = 1
"""
Path = tuple[str, ...]


async def unseen(reader: ClickHouseReader, tenant: Tenant, tree: Rule) -> list[str]:
    """The rule's own conditions, without those of referred segments."""
    warnings: list[str] = []
    try:
        async with asyncio.timeout(WITHIN_S):
            await _NameLookup(reader, tenant).rule(tree, warnings)
    except (TimeoutError, ClickHouseError, ApiError) as error:
        log.info("the names in a rule were not looked up: %s", str(error)[:200])
    return warnings


class _NameLookup:
    def __init__(self, reader: ClickHouseReader, tenant: Tenant) -> None:
        self._reader = reader
        self._tenant = tenant

    async def rule(self, tree: Rule, warnings: list[str]) -> None:
        """Adds to ``warnings`` as it goes, so that results up to the deadline are used."""
        events: dict[str, dict[Path, None]] = {}
        attributes: dict[Path, None] = {}
        for _, leaf in rule_tree.leaves(tree):
            attributes.update(dict.fromkeys(rule_tree.paths_of(leaf)))
            for what, _ in needs(leaf):
                paths = events.setdefault(what.event, {})
                paths.update(dict.fromkeys(where.path for where in what.where if where.path))
                if what.path:
                    paths[what.path] = None
        missing = await self._events(list(events)[:MOST_LOOKED_UP], warnings)
        pairs = [(event, path) for event in events if event not in missing for path in events[event]]
        for event, path in pairs[:MOST_LOOKED_UP]:
            named, of = f"property {_names('.'.join(path))}", f" of events of type {_names(event)}"
            await self._path(path, named, of, (_PROPERTY, _PROPERTIES), warnings, type=event)
        for path in list(attributes)[:MOST_LOOKED_UP]:
            await self._path(path, f"attribute {_names('.'.join(path))}", "", (_ATTRIBUTE, _ATTRIBUTES), warnings)

    async def _events(self, types: list[str], warnings: list[str]) -> list[str]:
        """The types that have never been seen."""
        if not types:
            return []
        there = {row["name"] for row in await self._rows(_TYPES, names=types)}
        missing = [name for name in types if name not in there]
        if missing:
            others = [row["name"] for row in await self._rows(_ALL_TYPES)]
            warnings += [_never_seen(f"event of type {_names(name)}", "", name, others) for name in missing]
        return missing

    async def _path(
        self, path: Path, what: str, of: str, asks: tuple[str, str], warnings: list[str], **more: Any
    ) -> None:
        sampled = [row["name"] for row in await self._rows(asks[1], **more)]
        names = names_of(path)
        if names.isdisjoint(sampled) and not await self._rows(asks[0], names=sorted(names), **more):
            warnings.append(_never_seen(what, of, ".".join(path), sampled))

    async def _rows(self, sql: str, **parameters: Any) -> list[dict[str, Any]]:
        return await self._reader.rows(sql, **self._tenant.parameters, **parameters)


def _names(name: str) -> str:
    return repr(name[:80])


def _never_seen(noun: str, of: str, name: str, others: Iterable[str]) -> str:
    folded = {_folded(other): other for other in others if not other.startswith("$list:")}
    near = [folded[near] for near in get_close_matches(_folded(name), folded, n=MOST_SIMILAR, cutoff=0.7)]
    similar = f"; similar: {', '.join(name[:80] for name in near)}" if near else ""
    return warning("never_seen", f"no {noun}{of} has been seen here{similar}")


def _folded(name: str) -> str:
    return "".join(filter(str.isalnum, name[:80].lower())) or name[:80]
