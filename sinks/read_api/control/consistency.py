"""Compares segments' stored members with the results of their rules in SQL, again and again.

Every round takes the next few segments and a random sample of contacts. A difference is compared again once all
pending changes have arrived; if it remains, it is counted, and logged with the contact.
"""

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from clickhouse_connect.driver.exceptions import ClickHouseError

from schemas.api.answers.segments import ParityShape
from schemas.control.control_state import ControlState, Segment
from schemas.control.list_users import edited_ms
from schemas.errors import ApiError
from schemas.limits import EVENTS
from schemas.retry import repeated
from schemas.rules import sql
from schemas.rules.rule_tree import looks_back_ms
from schemas.service import clock
from schemas.settings import Settings
from schemas.times import DAY_MS, iso
from sinks.read_api.control.preview import tree_of
from sinks.read_api.request.client import ClickHouseReader

log = logging.getLogger(__name__)

MOST_SEGMENTS = 10
"""Of all homes, in one round."""
SETTLED_MS = 30_000
"""A rule that was edited so lately, or a list of it, is not compared: its memberships may be on their way."""
MOST_TOLD = 20

_SAMPLE = """
SELECT contact_id FROM contacts FINAL
WHERE workspace = {workspace:String} AND environment = {environment:String} AND merged_into = ''
ORDER BY rand() LIMIT {most:UInt32}
"""
_MEMBERS = """
SELECT contact_id FROM memberships FINAL
WHERE workspace = {workspace:String} AND environment = {environment:String} AND member
  AND segment_id = {segment:String} AND contact_id IN {contacts:Array(String)}
"""


@dataclass(slots=True)
class ConsistencyReport:
    """The comparisons of one environment since the process started."""

    rounds: int = 0
    compared: int = 0
    checked_ms: int = 0
    differences: Counter[str] = field(default_factory=Counter)
    latest: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=MOST_TOLD))

    def shape(self) -> ParityShape:
        return {
            "checked_at": iso(self.checked_ms) if self.checked_ms else None,
            "rounds": self.rounds,
            "compared": self.compared,
            "differences": self.differences.total(),
            "latest": list(self.latest),
        }


class ConsistencyCheck:
    """Runs beside the read API; off where ``parity_sample`` is 0."""

    def __init__(self, settings: Settings, control: ControlState, reader: ClickHouseReader) -> None:
        self._settings = settings
        self._control = control
        self._reader = reader
        self._reports: dict[tuple[str, str], ConsistencyReport] = {}
        self._last = ""
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        if self._settings.parity_sample:
            self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def of(self, workspace: str, environment: str) -> ConsistencyReport:
        return self._reports.setdefault((workspace, environment), ConsistencyReport())

    async def _run(self) -> None:
        def report(error: Exception, pause_s: float) -> None:
            log.warning("comparing segments failed, retrying in %g s: %s", pause_s, error)

        pause_s = self._settings.parity_interval_s
        await repeated(self.round, pause_s, (ApiError, ClickHouseError), report, at_once=False)

    async def round(self) -> None:
        """Compare the next few segments."""
        for segment in self._next():
            contacts = await self._sample(segment)
            suspects = await self._differing(segment, contacts)
            if suspects:
                await asyncio.sleep(self._settings.parity_settle_s)
                suspects = await self._differing(segment, suspects)
            self._count(segment, len(contacts), suspects)

    def _next(self) -> Iterable[Segment]:
        before = clock.now_ms() - SETTLED_MS
        ready = sorted(
            (s.id, s)
            for home, tenant in self._control.segments.items()
            for s in tenant.values()
            if edited_ms(s, tenant, self._control.value_lists[home]) < before
            and self._control.standing(s, self._reader.partitions)[0] == "live"
        )
        ordered = [s for name, s in ready if name > self._last] + [s for name, s in ready if name <= self._last]
        chosen = ordered[:MOST_SEGMENTS]
        self._last = chosen[-1].id if chosen else ""
        return chosen

    async def _sample(self, segment: Segment) -> list[str]:
        rows = await self._reader.rows(
            _SAMPLE, workspace=segment.workspace, environment=segment.environment, most=self._settings.parity_sample
        )
        return [row["contact_id"] for row in rows]

    async def _differing(self, segment: Segment, contacts: list[str]) -> list[str]:
        """The contacts whose membership differs from the rule, as of now."""
        if not contacts:
            return []
        tenant = (segment.workspace, segment.environment)
        current = self._control.segments[tenant].get(segment.id)
        if current is None or current.version != segment.version:
            return []
        if self._control.standing(current, self._reader.partitions)[0] != "live":
            return []  # its history is on its way, or it is disabled
        try:
            tree = tree_of(self._control, tenant, segment.id, segment.rule)
        except ApiError:
            return []  # it is disabled
        workspace = self._control.workspaces.get(segment.workspace)
        kept = None if workspace is None else workspace.retention.get(EVENTS)
        if kept is not None and looks_back_ms(tree) > kept * DAY_MS:
            return []  # the stage remembers events that the tables have no longer
        query = sql.members(tree, *tenant, clock.now_ms(), contacts)
        ruled = {row["contact_id"] for row in await self._reader.rows(query.sql, **query.parameters)}
        memberships = await self._reader.rows(
            _MEMBERS, workspace=tenant[0], environment=tenant[1], segment=segment.id, contacts=contacts
        )
        return sorted(ruled ^ {row["contact_id"] for row in memberships})

    def _count(self, segment: Segment, compared: int, differing: list[str]) -> None:
        report = self.of(segment.workspace, segment.environment)
        report.rounds += 1
        report.compared += compared
        report.checked_ms = clock.now_ms()
        for contact in differing:
            report.differences[segment.id] += 1
            report.latest.append({"segment_id": segment.id, "contact_id": contact, "at": iso(report.checked_ms)})
            log.error("segment %s: membership of contact %s differs from the rule", segment.id, contact)
