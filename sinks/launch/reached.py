"""A page of a launch in; its distinct people, and those that the launch reached under another id before, out.

Contacts merge while a launch pages by ids. A contact that got a message may now be part of a later contact, and a
contact still to come may be part of an earlier one. A contact's id is its present one. The launch has reached a contact
if an event for one of the ids that merged into it since the start of the launch is stored, or was made a moment ago,
before the sink stored it.
"""

from collections.abc import Awaitable, Iterable, Sequence
from typing import Any, Protocol

from cachetools import TTLCache

from schemas.control.launch_jobs import LaunchJob, ids_of
from schemas.records.records import REQUESTED
from sinks.launch.verdicts import HERE

MOST, KEEP_S = 200_000, 600
"""The most messages to remember, and for how long: the sink stores them much sooner."""
MOST_ASKED = 2000
"""Events in a query: a page may have merged with any number of contacts, and ClickHouse takes 128 KiB in a field."""
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
        """Runs a query over the job's environment."""


class ReachedContacts:
    """Keeps the reached contacts of all launches of a process."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._recent: TTLCache[tuple[str, str], bool] = TTLCache(MOST, KEEP_S)

    def add(self, job: LaunchJob, contact_ids: Iterable[str]) -> None:
        """Adds contacts whose events are durable."""
        for contact_id in contact_ids:
            self._recent[job.id, contact_id] = True

    async def people(self, job: LaunchJob, ids: Sequence[str]) -> list[str]:
        """Returns the present contacts of these ids, without those that the launch has reached under another id."""
        winners = {row[0]: row[1] for row in await self._rows(job, _WINNERS, ids=list(ids))}
        here = set(ids)
        today = list(dict.fromkeys(winners.get(contact_id, contact_id) for contact_id in ids))
        # a page repeated after a crash makes its own events again, with the same ids
        names = {contact_id: [] if contact_id in here else [contact_id] for contact_id in today}
        since = job.created_ms - SKEW_MS
        for loser, winner in await self._rows(job, _LOSERS, ids=today, since=since):
            names[winner].append(loser)
        candidates = {
            self._event(job, name): (contact_id, name) for contact_id, others in names.items() for name in others
        }
        if not candidates:
            return today
        events, stored = list(candidates), set[str]()
        for start in range(0, len(events), MOST_ASKED):
            some = events[start : start + MOST_ASKED]
            stored |= {row[0] for row in await self._rows(job, _EVENTS, campaign=job.campaign, ids=some)}
        reached = {
            contact_id
            for event, (contact_id, name) in candidates.items()
            if event in stored or (job.id, name) in self._recent
        }
        return [contact_id for contact_id in today if contact_id not in reached]

    @staticmethod
    def _event(job: LaunchJob, contact_id: str) -> str:
        return ids_of(job.id, job.workspace, job.campaign, contact_id, REQUESTED).event_id
