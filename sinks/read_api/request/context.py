"""A request in; its principal, tenant and parameters out."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote

from starlette.requests import Request

from schemas.api import parameters
from schemas.control.access import Principal
from schemas.control.control_state import ControlState
from schemas.errors import ApiError
from schemas.service import clock, web
from schemas.service.kafka import Tail
from sinks.read_api.request import paging
from sinks.read_api.request.paging import Paging
from sinks.read_api.request.tenant import Tenant

_ADDRESSED = frozenset({"email", "phone", "contact"})
"""Parameters that may hold an e-mail address or a phone number."""


@dataclass(frozen=True, slots=True)
class ReadRequest:
    """An authorised request: its principal, tenant and parameters."""

    principal: Principal
    tenant: Tenant
    http: Request
    whole: Paging | None = None
    """Replaces the request's own paging when a whole list is streamed."""

    @property
    def query(self) -> dict[str, str]:
        """A plus sign in an address is one, whether it was encoded or not."""
        query, raw = dict(self.http.query_params), self.http.url.query
        if "+" in raw and not _ADDRESSED.isdisjoint(query):
            literal = dict(parse_qsl(raw.replace("+", "%2B"), keep_blank_values=True))
            query |= {name: literal[name] for name in _ADDRESSED & literal.keys()}
        return query

    @property
    def paging(self) -> Paging:
        return self.whole or paging.paging_of(self.query)

    async def json(self) -> Any:
        """The body, as the edge sends it to an internal path: read without a check."""
        return await self.http.json()

    def part(self, name: str) -> str:
        """A part of the path, decoded."""
        text: str = self.http.path_params[name]
        try:
            return unquote(text, errors="strict")
        except UnicodeDecodeError:
            raise ApiError("not_found", "the path is not UTF-8") from None


async def authorise(request: Request, control: ControlState, tail: Tail, scope: str | None) -> Principal:
    """The key's principal. An unknown key or environment may have been created at the edge a moment ago."""
    principal = await _authorised(request, control, tail, scope)
    parameters.check(request.method, request.url.path, request.scope["query_string"])
    return principal


async def _authorised(request: Request, control: ControlState, tail: Tail, scope: str | None) -> Principal:
    headers = dict(request.scope["headers"])
    try:
        return web.authorise(control, headers, request.query_params, scope, clock.now_ms())
    except ApiError as refused:
        if refused.code not in ("invalid_key", "unknown_environment"):
            raise
    await tail.catch_up()
    return web.authorise(control, headers, request.query_params, scope, clock.now_ms())
