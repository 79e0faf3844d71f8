"""Ids that one request asks for in, what they stand for out: each kind of look-up is one query for all of them.

Built anew for every request: a loader remembers what it has read.
"""

from collections import defaultdict
from collections.abc import Hashable, Sequence
from typing import Any

from strawberry.dataloader import DataLoader

from schemas.control import ControlState
from sinks.query import contacts, definitions
from sinks.query.contacts import Home
from sinks.query.params import Paging
from sinks.query.reader import Reader

Row = dict[str, Any]
EventsOf = tuple[str, int, tuple[Any, ...] | None]
"""A contact id, how many events (one more says that there are others), and behind which place."""


class Loaders:
    """``contact`` by any id it has ever had, ``segment`` by id, ``events`` by contact and page."""

    def __init__(self, reader: Reader, control: ControlState, home: Home) -> None:
        self._reader = reader
        self._control = control
        self._home = home
        self.contact: DataLoader[str, Row | None] = DataLoader(load_fn=self._contacts)
        self.segment: DataLoader[str, Row | None] = DataLoader(load_fn=self._segments)
        self.events: DataLoader[EventsOf, list[Row]] = DataLoader(load_fn=self._events)

    async def events_of(self, contact_id: str, paging: Paging) -> list[Row]:
        """``paging.wanted`` of them at most, newest first."""
        place = paging.cursor_of(int, str)
        return await self.events.load((contact_id, paging.wanted, None if place is None else tuple(place)))

    async def _contacts(self, ids: list[str]) -> list[Row | None]:
        rows = await contacts.find_all(self._reader, self._home, ids)
        found = [row for row in rows if row is not None]
        unique = {row["contact_id"]: row for row in found}
        shapes = await contacts.shaped(self._reader, self._home, list(unique.values()))
        by_id = {shape["id"]: shape for shape in shapes}
        return [None if row is None else by_id[row["contact_id"]] for row in rows]

    async def _segments(self, ids: list[str]) -> list[Row | None]:
        known = self._control.segments[self._home.workspace, self._home.environment]
        wanted = [known[one] for one in dict.fromkeys(ids) if one in known]
        shapes = {s["id"]: s for s in await definitions.with_counts(self._reader, self._control, self._home, wanted)}
        return [shapes.get(one) for one in ids]

    async def _events(self, asked: list[EventsOf]) -> list[list[Row]]:
        pages: dict[Hashable, list[str]] = defaultdict(list)
        for contact_id, wanted, place in asked:
            pages[wanted, place].append(contact_id)
        found: dict[EventsOf, list[Row]] = {}
        for (wanted, place), ids in _typed(pages):
            for contact_id, rows in (
                await contacts.latest_events(self._reader, self._home, ids, wanted=wanted, before=place)
            ).items():
                found[contact_id, wanted, place] = rows
        return [found.get(one, []) for one in asked]


def _typed(pages: dict[Any, list[str]]) -> Sequence[tuple[tuple[int, tuple[Any, ...] | None], list[str]]]:
    return list(pages.items())
