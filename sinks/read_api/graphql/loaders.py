"""Ids of one request in, their records out: each kind of look-up is one query for all of them.

Built for each request: a loader caches its rows.
"""

from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from strawberry.dataloader import DataLoader

from schemas.api.answers.campaigns import MessageCounts
from schemas.api.answers.contacts import ContactShape
from schemas.api.answers.events import ContactEventShape
from schemas.api.answers.segments import SegmentShape
from schemas.api.answers.webhooks import DeliveryAttemptShape
from schemas.control.control_state import ControlState
from sinks.read_api.campaigns.facts import CampaignQuery
from sinks.read_api.campaigns.stats import CampaignFigures, contacts_of, details_of, stats_of
from sinks.read_api.contacts import contacts
from sinks.read_api.control import definitions, webhooks
from sinks.read_api.request.client import ClickHouseReader
from sinks.read_api.request.paging import Paging, Placed
from sinks.read_api.request.tenant import Tenant

T = TypeVar("T")
PageOf = tuple[str, int, tuple[Any, ...] | None]
"""The contact or webhook, the number of rows (one more than shown), and the place that they follow."""


class Loaders:
    """``contact`` by any id it has ever had, ``events`` by contact and page, ``attempts`` by webhook and page.

    ``segment`` and ``stats`` by their ids; ``variants`` are figures by variant, and ``reached`` are different
    contacts per kind.
    """

    def __init__(self, reader: ClickHouseReader, control: ControlState, tenant: Tenant) -> None:
        self._reader = reader
        self._control = control
        self._tenant = tenant
        self.contact: DataLoader[str, ContactShape | None] = DataLoader(load_fn=self._contacts)
        self.segment: DataLoader[str, SegmentShape | None] = DataLoader(load_fn=self._segments)
        self.events: DataLoader[PageOf, list[Placed[ContactEventShape]]] = DataLoader(load_fn=self._events)
        self.attempts: DataLoader[PageOf, list[Placed[DeliveryAttemptShape]]] = DataLoader(load_fn=self._attempts)
        self.stats: DataLoader[str, CampaignFigures] = DataLoader(load_fn=self._stats)
        self.variants: DataLoader[str, dict[str, CampaignFigures]] = DataLoader(load_fn=self._variants)
        self.reached: DataLoader[str, MessageCounts] = DataLoader(load_fn=self._reached)

    async def events_of(self, contact_id: str, paging: Paging) -> list[Placed[ContactEventShape]]:
        """``paging.fetch_limit`` of them at most, newest first."""
        return await self.events.load(_page_of(contact_id, paging))

    async def attempts_of(self, webhook_id: str, paging: Paging) -> list[Placed[DeliveryAttemptShape]]:
        """``paging.fetch_limit`` of them at most, newest first."""
        return await self.attempts.load(_page_of(webhook_id, paging))

    async def _contacts(self, ids: list[str]) -> list[ContactShape | None]:
        rows = await contacts.find_all(self._reader, self._tenant, ids)
        present = [row for row in rows if row is not None]
        unique = {row["contact_id"]: row for row in present}
        shapes = await contacts.shaped(self._reader, self._tenant, list(unique.values()))
        by_id = {shape["id"]: shape for shape in shapes}
        return [None if row is None else by_id[row["contact_id"]] for row in rows]

    async def _segments(self, ids: list[str]) -> list[SegmentShape | None]:
        existing = self._control.segments[self._tenant.workspace, self._tenant.environment]
        segments = [existing[segment_id] for segment_id in dict.fromkeys(ids) if segment_id in existing]
        shapes = {
            s["id"]: s for s in await definitions.with_counts(self._reader, self._control, self._tenant, segments)
        }
        return [shapes.get(segment_id) for segment_id in ids]

    async def _events(self, pages: list[PageOf]) -> list[list[Placed[ContactEventShape]]]:
        return await self._pages(contacts.latest_events, pages)

    async def _attempts(self, pages: list[PageOf]) -> list[list[Placed[DeliveryAttemptShape]]]:
        return await self._pages(webhooks.latest_attempts, pages)

    async def _pages(
        self, read: Callable[..., Awaitable[dict[str, list[T]]]], requested: list[PageOf]
    ) -> list[list[T]]:
        """One query for all requests of the same page of different objects."""
        pages: dict[tuple[int, tuple[Any, ...] | None], list[str]] = defaultdict(list)
        for key, count, place in requested:
            pages[count, place].append(key)
        rows_by_page: dict[PageOf, list[T]] = {}
        for (count, place), ids in pages.items():
            for key, rows in (await read(self._reader, self._tenant, ids, limit=count, before=place)).items():
                rows_by_page[key, count, place] = rows
        return [rows_by_page.get(key, []) for key in requested]

    async def _stats(self, ids: list[str]) -> list[CampaignFigures]:
        stats = await stats_of(self._reader, self._question(ids))
        return [stats[campaign_id] for campaign_id in ids]

    async def _variants(self, ids: list[str]) -> list[dict[str, CampaignFigures]]:
        details = await details_of(self._reader, self._question(ids), contacts=False)
        return [details[campaign_id][1] for campaign_id in ids]

    async def _reached(self, ids: list[str]) -> list[MessageCounts]:
        reached = await contacts_of(self._reader, self._question(ids))
        return [reached[campaign_id] for campaign_id in ids]

    def _question(self, ids: list[str]) -> CampaignQuery:
        campaigns = self._control.campaigns[self._tenant.workspace, self._tenant.environment]
        return CampaignQuery(tenant=self._tenant, campaigns=[campaigns[campaign_id] for campaign_id in ids])


def _page_of(object_id: str, paging: Paging) -> PageOf:
    place = paging.cursor_of(int, str)
    return object_id, paging.fetch_limit, None if place is None else tuple(place)
