"""The events of one request in, checked, published and (for ``sync=true``) awaited; the result of each out."""

import asyncio
import time
from typing import Final
from uuid import UUID

from ingest.events.canonical import Caller, canonical
from ingest.events.edge import Edge
from ingest.events.link_waiter import LinkWaiter
from ingest.events.raw import Accepted, RawEvent
from schemas import ids
from schemas.control.lookup import require_environment
from schemas.errors import ApiError
from schemas.records.records import Event
from schemas.records.sameness import event_key

TURN_S: Final = 0.01
"""How long the events of one request are worked on before other requests have their turn."""


class TimeSlice:
    """The share of the event loop of one long request; measured in time, since events differ in cost."""

    def __init__(self) -> None:
        self._until = time.monotonic() + TURN_S

    def is_over(self) -> bool:
        return time.monotonic() > self._until

    async def next(self) -> None:
        """Let other requests have theirs."""
        await asyncio.sleep(0)
        self._until = time.monotonic() + TURN_S


class Batch:
    """The events of one request."""

    def __init__(self, edge: Edge, caller: Caller, *, any_environment: bool, linked: LinkWaiter | None = None) -> None:
        """``linked`` waits for the merges of events with ``sync=true``; ``None``: merges are not waited for."""
        self._edge = edge
        self._caller = caller
        self._any_environment = any_environment
        self.task_id = caller.task_id
        self.applied = False
        self._entered: dict[str, list[str]] = {}
        self._left: dict[str, list[str]] = {}
        self._linked = linked
        self._refused: dict[str, list[str]] = {}

    async def send_single(self, raw: RawEvent, label: str | None, timeout_ms: int | None) -> Accepted:
        """The common case: one event, taken or refused as a whole."""
        try:
            event, warnings = self._canonical(raw, 0)
            repeated = self._repeated(raw, event, warnings)
            if repeated is not None:
                return repeated
            if timeout_ms is None:
                await self._edge.submit(event, self._caller.trace)
            else:
                await self._and_wait([event], timeout_ms)
        except ApiError as refused:
            if label is None or refused.code == "unavailable":
                raise
            raise refused.at(f"{label}[0]") from None
        return self._accepted(raw, event, warnings)

    async def send_all(
        self, raws: list[RawEvent | ApiError], label: str, timeout_ms: int | None, *, atomic: bool
    ) -> list[Accepted | ApiError]:
        """Accepts or refuses each item by itself; refuses an atomic request before it sends any of its events."""
        checked: list[tuple[RawEvent, Event, list[str]] | ApiError] = []
        turns = TimeSlice()
        for index, raw in enumerate(raws):
            if turns.is_over():
                await turns.next()
            try:
                event, warnings = self._canonical(raw, index)
                checked.append((raw, event, warnings))  # type: ignore[arg-type]  # an ApiError raises itself
            except ApiError as refused:
                place = f"{label}[{index}]"
                refused.detached()  # ``raws`` may hold it
                if atomic:
                    raise refused.at(place) from None
                checked.append(refused.at(place))
        _in_order([c[1] for c in checked if not isinstance(c, ApiError) and c[0].event_id is None])
        items: list[Accepted | ApiError | None] = [
            c if isinstance(c, ApiError) else self._repeated(c[0], c[1], c[2]) for c in checked
        ]
        todo = [(i, *c) for i, c in enumerate(checked) if items[i] is None and not isinstance(c, ApiError)]
        if atomic or timeout_ms is not None:
            # the exact size is known when an event is encoded, and then its neighbours may be on their way
            for index, _, event, _ in todo:
                self._edge.check_size(event, f"{label}[{index}]")
        if self.task_id:
            self._count([(raw.event_id is None, event) for _, raw, event, _ in todo])
        if timeout_ms is not None:
            await self._and_wait([event for _, _, event, _ in todo], timeout_ms)
        futures = set()
        for index, _, event, _ in todo:
            if turns.is_over():
                await turns.next()
            if timeout_ms is None:
                try:
                    futures.add(self._edge.submit(event, self._caller.trace))
                except ApiError as refused:
                    if refused.code == "unavailable":
                        raise
                    items[index] = refused.at(f"{label}[{index}]")
        for future in futures:
            await future
        for index, raw, event, warnings in todo:
            if items[index] is None:
                items[index] = self._accepted(raw, event, warnings)
        return [item for item in items if item is not None]

    def _count(self, events: list[tuple[bool, Event]]) -> None:
        """Sets the number of events that complete the task: copies with the same client-chosen id count once."""
        given = [event_key(event) for is_made, event in events if not is_made]
        self.task_id = ids.counted(UUID(self.task_id), len(events) - len(given) + len(set(given)))
        for _, event in events:
            event["task_id"] = self.task_id

    def _canonical(self, raw: RawEvent | ApiError, index: int) -> tuple[Event, list[str]]:
        if isinstance(raw, ApiError):
            raise raw
        if self._caller.seed and raw.event_id is None:
            raw.event_id = f"evt_{self._caller.seed[:32]}" if not index else f"evt_{self._caller.seed[:32]}_{index:05}"
        environment = raw.environment
        if environment is not None and environment != self._caller.environment:
            if not self._any_environment:
                raise ApiError("missing_scope", "a public key writes to its own environment only", "environment")
            require_environment(self._edge.control.environments[self._caller.workspace], environment)
        return canonical(raw, self._caller)

    def _repeated(self, raw: RawEvent, event: Event, warnings: list[str]) -> Accepted | None:
        """The first answer, where this edge gave one; with ``sync=true`` the event passes again for its receipt."""
        if raw.event_id is None or self._caller.reply_to:
            return None
        first = self._edge.ack_cache.get(event)
        if first is None:
            return None
        if first.conflict:
            warnings.append(first.conflict)
        return Accepted(
            event_id=event["event_id"], contact_id=first.contact_id, received_ms=first.received_ms, warnings=warnings
        )

    def _accepted(self, raw: RawEvent, event: Event, warnings: list[str]) -> Accepted:
        contact_id = self._edge.merge_map.winner(event["contact_id"])
        if raw.event_id is not None:
            conflict = self._edge.ack_cache.put(event, contact_id)
            if conflict:
                warnings.append(conflict)
        # of copies in one request the first one made the change
        key = event_key(event) if self._entered else ""
        warnings.extend(self._refused.get(key, ()))
        return Accepted(
            event_id=event["event_id"],
            contact_id=contact_id,
            received_ms=event["received_ms"],
            warnings=warnings,
            entered=self._entered.pop(key, None) if key else None,
            left=self._left.pop(key, None) if key else None,
        )

    async def _and_wait(self, events: list[Event], timeout_ms: int) -> None:
        """Publish, then wait until each is stored and applied, or until the deadline."""
        task_id, receipts = self.task_id, self._edge.receipts
        end = time.monotonic() + timeout_ms / 1000
        waiter = receipts.expect(task_id, [event_key(event) for event in events])
        try:
            for future in {self._edge.submit(event, self._caller.trace) for event in events}:
                await future
        except BaseException:
            receipts.forget(task_id)
            raise
        self.applied = await receipts.wait(task_id, timeout_ms / 1000) if events else True
        self._entered, self._left = waiter.entered, waiter.left
        if self.applied and self._linked is not None:
            refused = await self._linked.wait(events, end - time.monotonic())
            self.applied, self._refused = refused is not None, refused or {}


def _in_order(events: list[Event]) -> None:
    """Gives generated ids in the batch's order: of two events at the same time, the greater id counts as later."""
    if len(events) > 1:
        for event, event_id in zip(events, sorted(event["event_id"] for event in events), strict=True):
            event["event_id"] = event_id
