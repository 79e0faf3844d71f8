"""`POST /v1/contacts/{id}/split` in, the contacts that its identifiers belong to afterwards out.

1. The edge reads the contact's ties from the read API with the key of the request; the read API answers 404 and 403.
   It is a moment behind, so the edge repeats the query for missing evidence until ``FRESH_S`` have passed.
2. All retractions are one record of `links`. The split is done when this edge's copy of the merge map has reached
   that record for every named identifier, and the read API shows each contact with its own ids.
3. A split lasts: later events do not tie the identifiers again. ``lift`` ends the split, and ties nothing itself.
4. If a split takes too long, the answer is 202 with the contacts as the edge knows them: the split is durable.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response

from ingest.contacts import split
from ingest.contacts.split import Tie
from ingest.events.edge import Edge
from ingest.http.json_body import json_of
from ingest.http.read_api import ReadApiClient
from schemas import topics
from schemas.errors import ApiError
from schemas.records import codec, records
from schemas.records.identity import contact_id, partition_of
from schemas.records.mergemap import VERSIONS_PER_RECORD
from schemas.records.records import Identifier
from schemas.service.web import JsonResponse

FRESH_S = 1.5
WAIT_S = 5.0
POLL_S = 0.03


class SplitRoutes:
    def __init__(self, edge: Edge, read_api: ReadApiClient) -> None:
        self._edge = edge
        self._read_api = read_api

    async def split_contact(self, request: Request) -> Response:
        """The handler; ``schemas.service.web.ErrorMiddleware`` answers its errors."""
        principal = self._edge.authorise(request, "contacts:write")
        home = principal.workspace, principal.environment
        selection = split.parse(await json_of(request, self._edge.settings))
        path = request.scope["raw_path"].decode("latin-1").split("?", 1)[0]
        members, ties = await self._chosen(request, path, selection)
        own = [contact_id(*home, side["type"], side["value"]) for tie in ties for side in (tie.a, tie.b)]
        version = await self._publish(ties, home, records.LIFT if selection.lift else records.SPLIT)
        deadline = asyncio.get_running_loop().time() + WAIT_S
        view = self._edge.merge_map
        if not await _until(lambda: all(view.version(node) >= version for node in own), deadline):
            return JsonResponse({"contacts": self._contacts(members)}, 202)
        while not await self._shows(request, members):
            if asyncio.get_running_loop().time() > deadline:
                return JsonResponse({"contacts": self._contacts(members)}, 202)
            await asyncio.sleep(POLL_S)
        return JsonResponse({"contacts": self._contacts(members)})

    async def _chosen(self, request: Request, path: str, selection: split.Split) -> tuple[list[str], list[Tie]]:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + FRESH_S
        while True:
            state = await self._read_api.get_json(request, path)
            if state is None:
                raise ApiError("not_found", "no such contact")
            ties = [Tie(tie["event_id"], _named(tie["a"]), _named(tie["b"])) for tie in state["ties"]]
            apart = [Tie("", _named(tie["a"]), _named(tie["b"])) for tie in state["separated"]]
            try:
                chosen = split.lifted(selection, apart) if selection.lift else split.chosen(selection, ties)
            except ApiError:
                if loop.time() > deadline:
                    raise
            else:
                return state["members"], chosen
            await asyncio.sleep(POLL_S * 3)

    async def _publish(self, ties: list[Tie], home: tuple[str, str], kind: str) -> int:
        """Publish the retractions; returns the lowest version of the merges that they cause."""
        settings = self._edge.settings
        key = "/".join(home)
        offset = await self._edge.publisher.send(
            topics.name(topics.LINKS, settings),
            codec.encode_links(split.links(ties, *home, self._edge.clock(), kind=kind)),
            partition=partition_of(key, settings.partitions),
            key=key.encode(),
        )
        return offset * VERSIONS_PER_RECORD

    def _contacts(self, members: list[str]) -> list[str]:
        """The contacts that these ids belong to, the former contact first."""
        return list(dict.fromkeys(self._edge.merge_map.winner(node) for node in members))

    async def _shows(self, request: Request, members: list[str]) -> bool:
        """Whether the read API puts every identifier into the same contact as this edge, in up-to-date rows."""
        parts: dict[str, set[str]] = defaultdict(set)
        for node in members:
            parts[self._edge.merge_map.winner(node)].add(node)
        for contact, nodes in parts.items():
            state = await self._read_api.get_json(request, f"/v1/contacts/{contact}/split")
            if state is None:
                return False
            shown = set(state["members"])
            if state["contact_id"] != contact or not state["settled"] or not nodes <= shown:
                return False
            if shown & (set(members) - nodes):
                return False
        return True


def _named(identifier: dict[str, str]) -> Identifier:
    return Identifier(type=identifier["type"], value=identifier["value"])


async def _until(true: Callable[[], bool], deadline: float) -> bool:
    while not true():
        if asyncio.get_running_loop().time() > deadline:
            return False
        await asyncio.sleep(POLL_S)
    return True
