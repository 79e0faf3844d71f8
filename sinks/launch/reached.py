"""A page of a launch in; its people, each once, and those that the launch reached under another id before, out.

Contacts merge while a launch goes by ids: one that was sent a message may be part of a later one now, and one that is
yet to come part of an earlier one. A contact goes by the id that it has today. It was reached if the event for an id
that has become it since the launch began is stored, or was made here a moment ago, before the sink had it.
"""

from collections.abc import Awaitable, Iterable, Sequence
from typing import Any, Protocol

from cachetools import TTLCache

from schemas.control.launch_jobs import LaunchJob, ids_of
from schemas.records.records import REQUESTED
from sinks.launch.verdicts import HERE

MOST, KEEP_S = 200_000, 600
"""Messages that are remembered here, and for how long: the sink has them long before."""
SKEW_MS = 60_000
"""How far the clocks of an edge and of ClickHouse may be apart."""
_WINNERS = f"SELECT loser, winner FROM contact_overrides FINAL WHERE {HERE} AND loser IN {{ids:Array(String)}}"  # noqa: S608 - constants
_LOSERS = f"""
SELECT loser, winner FROM contact_overrides FINAL
WHERE {HERE} AND winner IN {{ids:Array(String)}} AND _stored_at >= fromUnixTimestamp64Milli({{since:Int64}})
"""  # noqa: S608 - constants
_EVENTS = f"""
SELECT event_id FROM events
WHERE {HERE} AND campaign_id = {{campaign:String}} AND type = '{REQUESTED}' AND event_id IN {{ids:Array(String)}}
"""  # noqa: S608 - constants


class Rows(Protocol):
    def __call__(self, job: LaunchJob, query: str, **parameters: Any) -> Awaitable[Sequence[Sequence[Any]]]:
        """Of a query about the job's environment."""


class ReachedContacts:
    """Of all launches of a process."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._recent: TTLCache[tuple[str, str], bool] = TTLCache(MOST, KEEP_S)

    def add(self, job: LaunchJob, contact_ids: Iterable[str]) -> None:
        """Their events are durable."""
        for contact_id in contact_ids:
            self._recent[job.id, contact_id] = True

    async def people(self, job: LaunchJob, ids: Sequence[str]) -> list[str]:
        """The contacts that these ids are today, without those that the launch has reached under another id."""
        winners = {row[0]: row[1] for row in await self._rows(job, _WINNERS, ids=list(ids))}
        here = set(ids)
        today = list(dict.fromkeys(winners.get(one, one) for one in ids))
        # what is in the page itself is made again after a crash, with the same id
        names = {one: [] if one in here else [one] for one in today}
        since = job.created_ms - SKEW_MS
        for loser, winner in await self._rows(job, _LOSERS, ids=today, since=since):
            names[winner].append(loser)
        asked = {self._event(job, name): (one, name) for one, others in names.items() for name in others}
        if not asked:
            return today
        stored = {row[0] for row in await self._rows(job, _EVENTS, campaign=job.campaign, ids=list(asked))}
        reached = {one for event, (one, name) in asked.items() if event in stored or (job.id, name) in self._recent}
        return [one for one in today if one not in reached]

    @staticmethod
    def _event(job: LaunchJob, contact_id: str) -> str:
        return ids_of(job.id, job.workspace, job.campaign, contact_id, REQUESTED).event_id
