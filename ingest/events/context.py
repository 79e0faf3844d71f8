"""A caller in; the services of the edge and of the read API that its operation may use out."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import orjson

from ingest.events.edge import Edge
from ingest.events.raw import IntakeResult, Parsed
from ingest.http.read_api import ReadApiClient
from schemas import topics
from schemas.control.access import Principal, key_of
from schemas.control.control_state import Campaign
from schemas.errors import ApiError
from schemas.records import identity

JOIN_S = 2.0
_LOOK_S = 0.01
_ASK_S = 0.2
Take = Callable[[Parsed], Awaitable[IntakeResult]]


KNOWN = "/internal/contacts/known/"
"""Path of the read API that says which ids a contact has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestContext:
    """``DialectContext`` of one request."""

    edge: Edge
    read_api: ReadApiClient
    principal: Principal
    headers: Mapping[bytes, bytes]
    query: Mapping[str, str]
    params: Mapping[str, str]
    scheme: str
    repeat_id: str
    taker: Take

    async def take(self, parsed: Parsed) -> IntakeResult:
        return await self.taker(parsed)

    @property
    def most(self) -> int:
        return self.edge.settings.max_vendor_events

    @property
    def key(self) -> str:
        return key_of(self.headers, self.query) or ""

    @property
    def base_url(self) -> str:
        """The setting ``public_url``, else the scheme and host of the request and of its proxy."""
        if self.edge.settings.public_url:
            return self.edge.settings.public_url.rstrip("/")
        forwarded = self.headers.get(b"x-forwarded-proto", b"").split(b",", 1)[0].strip().lower()
        scheme = forwarded.decode() if forwarded in (b"http", b"https") else self.scheme
        return f"{scheme}://{self.headers.get(b'host', b'localhost').decode('latin-1')}"

    @property
    def now_ms(self) -> int:
        return self.edge.clock()

    def campaign(self, reference: Any) -> Campaign:
        campaigns = {campaign.id: campaign for campaign in self.edge.control.campaigns_of(self.principal.workspace)}
        text = str(reference)
        campaign = campaigns.get(text) if isinstance(reference, str) else None
        if campaign is None and not isinstance(reference, bool):
            numbered = [each for each in campaigns.values() if str(each.number) == text]
            campaign = min(numbered, key=lambda campaign: (campaign.created_ms, campaign.id), default=None)
        if campaign is None:
            raise ApiError("not_found", "no such campaign", "id")
        return campaign

    def triggered(self, trigger: str) -> Campaign | None:
        return self.edge.control.triggers.get(trigger)

    async def ask_link(self, trigger: str, contact: str) -> tuple[int, Any]:
        return await self.read_api.request_json(f"/internal/trigger/{trigger}?{urlencode({'who': contact})}", {})

    async def keep(self, launch_id: str, value: Any) -> None:
        topic = topics.name(topics.LAUNCHES, self.edge.settings)
        deadline = self.edge.settings.publish_deadline_s
        try:
            async with asyncio.timeout(deadline):
                await self.edge.publisher.send(topic, orjson.dumps(value), key=launch_id.encode())
        except TimeoutError:
            raise ApiError("unavailable", "not durable yet; send it again") from None

    def contact_of(self, kind: str, value: Any, field: str) -> str:
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)  # as a numeric id means its digits everywhere
        normal = identity.normalise(kind, value) if isinstance(value, str) else None
        home = (self.principal.workspace, self.principal.environment)
        if normal is None:
            raise ApiError("invalid_field", f"{field} identifies nobody", field)
        if kind == identity.CONTACT_ID and not identity.belongs_to(normal, *home):
            raise ApiError("invalid_field", f"{field} is not a contact id of this environment", field)
        return identity.contact_id(*home, kind, normal)

    async def erase(self, contact_id: str, environment: str) -> None:
        home = (self.principal.workspace, environment)

        async def ask() -> Any:
            status, contact = await self.ask(f"{KNOWN}{contact_id}", environment)
            return contact if status == 200 else None

        if self.edge.forget is None:
            raise ApiError("unavailable", "nothing can be erased now; try again")
        await self.edge.forget(home, contact_id, ask)

    def winner(self, contact_id: str) -> str:
        return self.edge.merge_map.winner(contact_id)

    def environment(self, name: Any) -> str:
        environments = self.edge.control.environments[self.principal.workspace]
        if isinstance(name, str) and name in environments:
            return name
        if not isinstance(name, bool) and str(name).isascii() and str(name).isdigit():
            for slug, environment in environments.items():
                if str(environment.number) == str(name):
                    return slug
        raise ApiError("unknown_environment", f"no environment {str(name)[:80]!r} here", "db_id")

    async def joined(self, a: str, b: str) -> bool | None:
        """Polls the local merge map until the ids share a contact; asks the read API for refusals meanwhile."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        end, ask_at = now + JOIN_S, now + _ASK_S
        while now < end:
            if self.winner(a) == self.winner(b):
                return True
            if now >= ask_at:
                ask_at = now + _ASK_S
                if await self.is_refused(a, b):
                    return False
            await asyncio.sleep(_LOOK_S)
            now = loop.time()
        return None

    async def is_refused(self, a: str, b: str) -> bool:
        """Whether the tables know that the two cannot be one contact; no where the read API is away."""
        try:
            status, value = await self.ask(f"/internal/refused?{urlencode({'a': a, 'b': b})}", "")
        except ApiError:
            return False
        return status == 200 and bool(value["refused"])

    async def ask(self, path: str, environment: str, body: Any = None) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {self.key}"}
        if environment:
            headers["Headwater-Environment"] = environment
        return await self.read_api.request_json(path, headers, body)
