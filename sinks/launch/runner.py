"""Jobs of `control` in; for each contact of their audiences an event that asks for its message, and progress, out.

1. One process does all jobs, a page of each in turn, so that a large job does not hold up a small one.
2. A page's events are durable before the job records the page as done. A crash in between makes them again, with
   the same ids: identity recognises the copies, so each contact is launched exactly once.
3. The audience goes by contact ids in ascending order. The audience of a rule is fixed when the launch is requested.
   Contacts that merge meanwhile are one, and reached once (`reached.py`).
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Sequence
from typing import Any

from aiokafka.errors import KafkaError
from clickhouse_connect.driver.exceptions import ClickHouseError

from schemas import topics
from schemas.control import control_state
from schemas.control.control_state import Campaign, ControlState
from schemas.control.launch_jobs import KIND, LaunchJob, LaunchJobs
from schemas.errors import ApiError
from schemas.rules import rule_tree, sql
from schemas.service import clock
from schemas.settings import Settings
from sinks.launch.connections import Connections
from sinks.launch.messages import requested
from sinks.launch.reached import ReachedContacts
from sinks.launch.verdicts import HERE, LISTED, OF_SEGMENT, verdicts

log = logging.getLogger(__name__)

PAGE = 2000
LOOK_S = 0.05
ROUND_S = 600.0
"""The interval between searches for finished jobs to delete."""
RETRY_S, LONGEST_RETRY_S = 0.5, 30.0
NO_CONTENT = {"content": None, "custom_data": None}
"""The part of the messages' content that a finished job keeps: every process holds the jobs in memory."""
MOST_BY_RULE = 1_000_000
"""Contacts that a rule may find: their ids are held while they are launched."""
_MEMBERS = f"{OF_SEGMENT} AND contact_id > {{after:String}} ORDER BY contact_id LIMIT {{limit:UInt32}}"
_COUNT = f"SELECT count() FROM ({OF_SEGMENT})"  # noqa: S608 - constants
_WINNER = f"SELECT merged_into FROM contacts FINAL WHERE {HERE} AND contact_id = {{contact:String}}"  # noqa: S608 - constants


class LaunchRunner:
    """Runs launches in the sender of webhooks, which keeps ``control`` and ``jobs`` up to date."""

    def __init__(self, settings: Settings, control: ControlState, jobs: LaunchJobs) -> None:
        self._settings = settings
        self._control = control
        self._jobs = jobs
        self._connections = Connections(settings)
        self._reached = ReachedContacts(self._rows)
        self._found: dict[tuple[str, str], list[str]] = {}
        """The contacts that match the rules of open jobs, by workspace and job."""

    async def run(self) -> None:
        """Run for ever; logs errors and retries."""
        pause_s, round_at = RETRY_S, 0.0
        try:
            while True:
                try:
                    await self._pages()
                    if clock.now_ms() >= round_at:
                        round_at = clock.now_ms() + ROUND_S * 1000
                        for job in self._jobs.outdated(clock.now_ms()):
                            await self._put(job, None)
                except (ClickHouseError, KafkaError, TimeoutError, OSError) as error:
                    log.warning("launches: retrying in %.1f s: %s", pause_s, str(error)[:500])
                    await self._connections.close()
                    await asyncio.sleep(pause_s)
                    pause_s = min(pause_s * 2, LONGEST_RETRY_S)
                else:
                    pause_s = RETRY_S
                    await asyncio.sleep(LOOK_S)
        finally:
            await self._connections.close()

    async def _pages(self) -> None:
        """Process a page of each job; raises the error of a job after the other jobs have had their page."""
        failed: Exception | None = None
        for job in self._jobs.open():
            try:
                await self._page(job)
            except ClickHouseError as error:
                log.warning("launch %s: %s", job.id, str(error)[:500])
                failed = error
        if failed is not None:
            raise failed

    async def _page(self, job: LaunchJob) -> None:
        """The next contacts of a job; a campaign that cannot be launched any more ends it."""
        campaign = self._control.campaigns[job.workspace, job.environment].get(job.campaign)
        if campaign is None or not campaign.delivery or campaign.status == "archived":
            await self._end(job, "the campaign is gone or archived, or has no delivery")
            return
        if campaign.status == "paused":
            return  # the job resumes where it stopped
        try:
            total = job.total or await self._total(job)
            ids = await self._ids(job)
        except ApiError as refused:
            await self._end(job, refused.message)
            return
        sent, skipped = await self._launch(job, campaign, ids)
        progress: dict[str, Any] = {
            "total": max(total, job.done + len(ids)),
            "after": ids[-1] if ids else job.after,
            "launched": job.launched + sent,
            "skipped": dict(Counter(job.skipped) + skipped),
            "done_ms": clock.now_ms() if len(ids) < PAGE else 0,
        }
        if progress["done_ms"]:
            progress |= NO_CONTENT
        await self._put(job, job.model_copy(update=progress))
        if progress["done_ms"]:
            self._found.pop((job.workspace, job.id), None)
            log.info("launch %s: %d launched, skipped %s", job.id, progress["launched"], progress["skipped"])

    async def _end(self, job: LaunchJob, reason: str) -> None:
        self._found.pop((job.workspace, job.id), None)
        log.warning("launch %s failed: %s", job.id, reason)
        ended = {"done_ms": clock.now_ms(), "reason": reason[:500], **NO_CONTENT}
        await self._put(job, job.model_copy(update=ended))

    async def _total(self, job: LaunchJob) -> int:
        if job.audience.segment:
            return int((await self._rows(job, _COUNT, segment=job.audience.segment))[0][0])
        return 1 if job.audience.contact else len(await self._by_rule(job))

    async def _ids(self, job: LaunchJob) -> list[str]:
        audience = job.audience
        if audience.segment:
            rows = await self._rows(job, _MEMBERS, segment=audience.segment, after=job.after, limit=PAGE)
            return [row[0] for row in rows]
        if audience.contact:
            merged = await self._rows(job, _WINNER, contact=audience.contact)
            return [(merged[0][0] or audience.contact) if merged else audience.contact]
        return [contact_id for contact_id in await self._by_rule(job) if contact_id > job.after][:PAGE]

    async def _by_rule(self, job: LaunchJob) -> list[str]:
        """Contacts that matched the rule when the launch was requested; raises ``ApiError``."""
        place = (job.workspace, job.id)
        if place not in self._found:
            rules, lists = self._control.rules_and_lists((job.workspace, job.environment))
            rule_tree.check("", job.audience.rule, rules, lists)  # a list may have gone since
            tree = rule_tree.read("", job.audience.rule, rules, lists)
            query = sql.members(tree, job.workspace, job.environment, job.created_ms)
            client = await self._connections.clickhouse()
            contact_ids = sorted(row[0] for row in (await client.query(query.sql, query.parameters)).result_rows)
            if len(contact_ids) > MOST_BY_RULE:
                message = f"the rule finds {len(contact_ids)} contacts, more than {MOST_BY_RULE}: make it a segment"
                raise ApiError("invalid_field", message, "rule")
            self._found[place] = contact_ids
        return self._found[place]

    async def _launch(self, job: LaunchJob, campaign: Campaign, ids: Sequence[str]) -> tuple[int, Counter[str]]:
        """Publish the requests of messages; returns their number, and the skipped contacts by reason. Durable then."""
        if not ids:
            return 0, Counter()
        rivals = self._control.campaigns[job.workspace, job.environment].values()
        override = job.override_consent
        query = verdicts(campaign, rivals, LISTED, launch_id=job.id, at_ms=job.created_ms, override_consent=override)
        client = await self._connections.clickhouse()
        people = await self._reached.people(job, ids)
        result = await client.query(query.sql, query.parameters | {"audience": people})
        rows = list(result.named_results())
        skipped = Counter(row["skip"] for row in rows if row["skip"])
        skipped["gone"] += len(ids) - len(rows)
        now_ms = clock.now_ms()
        events = [requested(job, campaign, row, now_ms) for row in rows if not row["skip"]]
        await self._connections.publish(events)
        self._reached.add(job, (event["contact_id"] for event in events))
        return len(events), +skipped

    async def _put(self, job: LaunchJob, now: LaunchJob | None) -> None:
        key, value = control_state.encode(KIND, now or job)
        producer = await self._connections.kafka()
        await producer.send_and_wait(topics.name(topics.CONTROL, self._settings), value if now else None, key=key)
        self._jobs.apply(key, value if now else None)

    async def _rows(self, job: LaunchJob, query: str, **parameters: Any) -> Sequence[Sequence[Any]]:
        home = {"workspace": job.workspace, "environment": job.environment}
        client = await self._connections.clickhouse()
        return (await client.query(query, home | parameters)).result_rows
