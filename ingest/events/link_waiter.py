"""Applied events in; warnings out, once the merges that the events cause can be read or are refused.

1. The waiter skips an event whose identifiers are one contact's already, and did not join it a moment ago.
2. It waits until the tables show a merge that this edge has seen. A merge that this edge does not see within ``SEEN_S``
   is assumed not to exist: ids that an SDK makes up for a call link nothing, and no record reports that.
"""

import asyncio
import time
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from ingest.events.edge import Edge
from ingest.http.read_api import ReadApiClient
from schemas.errors import ApiError
from schemas.records import identity
from schemas.records.records import Event
from schemas.records.sameness import event_key

LINKED = "/internal/events/linked"
"""Path of the read API that only the edge asks; it shows nothing of a contact."""
SEEN_S = 1.0
MOST_ASKED = 100
"""Events of one request whose merges are waited for one by one; more come in an import, which reads its tasks."""


class LinkWaiter:
    """Waits for the merges of one request's events; ``key`` is the request's API key."""

    def __init__(self, edge: Edge, read_api: ReadApiClient, key: str | None) -> None:
        self._edge = edge
        self._read_api = read_api
        self._headers = {"authorization": f"Bearer {key}"}

    async def wait(self, events: Sequence[Event], within_s: float) -> dict[str, list[str]] | None:
        """Warnings by the events' keys; ``None`` where a merge cannot be read in time."""
        end = time.monotonic() + within_s
        tying = [event for event in events if self._ties(event)][:MOST_ASKED]
        if not tying:
            return {}
        answers = await asyncio.gather(*(self._ask(event, end) for event in tying))
        if None in answers:
            return None
        return {event_key(event): refusal for event, refusal in zip(tying, answers, strict=True) if refusal}

    def _ties(self, event: Event) -> bool:
        own = self._own_ids(event)
        return len(own) > 1 and (not self._is_one(own) or self._edge.merge_map.joined_lately(own))

    def _is_one(self, own: Sequence[str]) -> bool:
        return len({self._edge.merge_map.winner(contact_id) for contact_id in own}) == 1

    def _own_ids(self, event: Event) -> list[str]:
        home = (event["workspace"], event["environment"])
        return [identity.contact_id(*home, link["type"], link["value"]) for link in self._links(event)]

    def _links(self, event: Event) -> list[Any]:
        tied = identity.tied(event["identifiers"], self._edge.control.apart(event["workspace"]))
        return [identifier for identifier in tied if identifier["type"] != identity.CONTACT_ID]

    async def _ask(self, event: Event, end: float) -> list[str] | None:
        own, path = self._own_ids(event), f"{LINKED}?environment={quote(event['environment'], safe='')}"
        seen_by = time.monotonic() + SEEN_S
        while (now := time.monotonic()) < end:
            await self._edge.merge_map.joined(own, min(0.1, end - now))
            is_one = self._is_one(own)
            if not is_one and now > seen_by:
                return []
            within_ms = int(max(0.0, min(end - time.monotonic(), SEEN_S if is_one else 0.2)) * 1000)
            try:
                question = {"identifiers": self._links(event), "timeout_ms": within_ms}
                status, answer = await self._read_api.request_json(path, self._headers, question)
            except ApiError:
                return None  # it is durable; when it can be read is unknown
            if status != 200:
                return []
            if answer["linked"]:
                warnings: list[str] = answer["warnings"]
                return warnings
        return None if self._is_one(own) else []
