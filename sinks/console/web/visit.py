"""A request of a signed-in browser in; the key's holder, its scopes, its API client and its pages out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from schemas.control.access import Principal
from schemas.errors import ApiError
from sinks.console.web import policy
from sinks.console.web.api import Api
from sinks.console.web.render import Templates
from sinks.console.web.session import Session

MOST_FORM = 256 * 1024
MOST_FIELDS = 2000


class NavigationEntry(NamedTuple):
    """A line of the navigation; ``key`` is the letter that opens it after ``g``."""

    path: str
    label: str
    scope: str
    key: str


@dataclass(frozen=True, slots=True)
class Visit:
    """One request; pages are functions of it."""

    request: Request
    session: Session
    principal: Principal
    api: Api
    templates: Templates
    nonce: str
    entries: Sequence[NavigationEntry]
    environments: Sequence[str]
    public_url: str

    @property
    def environment(self) -> str:
        return self.principal.environment

    @property
    def query(self) -> dict[str, str]:
        return dict(self.request.query_params)

    @property
    def base(self) -> str:
        """The scheme and host of the browser's request."""
        headers = self.request.headers
        host = headers.get("x-forwarded-host") or headers.get("host", "localhost")
        return self.public_url or f"{headers.get('x-forwarded-proto', 'http')}://{host}"

    def may(self, scope: str) -> bool:
        """Whether the key has the scope; pages hide actions outside of its scopes."""
        return scope in self.principal.scopes

    def need(self, scope: str) -> None:
        """Raises ``ApiError`` (403) if the key lacks the scope; every key has the empty scope."""
        if scope and not self.may(scope):
            raise ApiError("missing_scope", f"this page needs a key with the scope {scope}")

    def page(self, template: str, status: int = 200, **values: Any) -> Response:
        """Renders a template with the common values: navigation, session, nonce."""
        path = self.request.url.path
        shown = [(entry, path == entry.path or path.startswith(f"{entry.path}/")) for entry in self.entries]
        section = next((entry.path for entry, here in shown if here), path)
        text = self.templates.render(
            template,
            {
                "visit": self,
                "nonce": self.nonce,
                # the address of a form's answer is no page
                "next": path if self.request.method == "GET" else section,
                "navigation": [(entry, here) for entry, here in shown if not entry.scope or self.may(entry.scope)],
                **values,
            },
        )
        return HTMLResponse(text, status, policy.headers(self.nonce))

    async def form(self) -> dict[str, str]:
        """Returns the fields of a form from our own page; raises ``ApiError`` (403, 413)."""
        return dict(await self.fields())

    async def fields(self) -> list[tuple[str, str]]:
        """Returns the fields in order, with repeated names."""
        return await form_of(self.request)

    def go(self, path: str) -> Response:
        """Redirects to another page with 303 See Other."""
        return RedirectResponse(path, 303, {"Cache-Control": "no-store"})


async def form_of(request: Request) -> list[tuple[str, str]]:
    """Raises ``ApiError``: 403 for a form of a foreign page, 413 for an oversized form."""
    policy.check_same_origin(request.headers)
    raw = bytearray()
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > MOST_FORM:
            raise ApiError("too_large", f"a form is larger than {MOST_FORM} bytes")
    try:
        return parse_qsl(raw.decode(), keep_blank_values=True, max_num_fields=MOST_FIELDS)
    except ValueError as error:
        raise ApiError("invalid_field", "the form is not readable") from error
