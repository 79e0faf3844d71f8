"""The control state in; the console's routes out: sessions, pages, and errors as pages.

Each page reads and writes through the public API, with the key that signed in.
"""

import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from schemas.api import parameters
from schemas.control.access import Principal, key_of
from schemas.control.control_state import ControlState
from schemas.errors import ApiError
from schemas.service import web
from schemas.service.clock import now_ms
from schemas.service.kafka import Tail
from schemas.settings import Settings
from sinks.console.live.feed import LiveFeed
from sinks.console.live.page import SCOPE as LIVE
from sinks.console.live.page import LivePages
from sinks.console.pages import campaigns, contacts, keys, operate, quarantine, segments, webhooks
from sinks.console.web import policy
from sinks.console.web.api import Api, ApiConnection
from sinks.console.web.assets import PREFIX, Assets
from sinks.console.web.render import Templates
from sinks.console.web.session import COOKIE, COOKIE_S, Codes, Session, Sessions
from sinks.console.web.visit import NavigationEntry, Visit, form_of

Page = Callable[[Visit], Awaitable[Response]]
SIGN_IN = "/console/sign-in"
HOME = "/console/live"
NAVIGATION = (
    NavigationEntry(HOME, "Live", "", "l"),
    NavigationEntry(contacts.PATH, "Contacts", "contacts:read", "c"),
    NavigationEntry(segments.PATH, "Segments", "segments:read", "s"),
    NavigationEntry(campaigns.PATH, "Campaigns", "campaigns:read", "m"),
    NavigationEntry(webhooks.PATH, "Webhooks", "webhooks:read", "w"),
    NavigationEntry(quarantine.PATH, "Quarantine", "admin", "q"),
    NavigationEntry(operate.PIPELINE, "Pipeline", "admin", "p"),
    NavigationEntry("/console/keys", "Keys", "admin", "k"),
)
_PACKED = [Middleware(GZipMiddleware, minimum_size=1000, compresslevel=5)]


class Console:
    """Serves pages to browsers; connects to nothing before ``start``."""

    def __init__(self, settings: Settings, control: ControlState, tail: Tail) -> None:
        self._control = control
        self._tail = tail
        self._sessions = Sessions(settings.secret_keys)
        self._codes = Codes()
        self._connection = ApiConnection(settings)
        self._feed = LiveFeed(settings)
        self._live_pages = LivePages(self._feed, control)
        self._assets = Assets()
        self._templates = Templates(self._assets)
        self._public_url = settings.public_url

    async def start(self) -> None:
        await self._connection.start()

    async def stop(self) -> None:
        await self._feed.stop()
        await self._connection.stop()

    def routes(self) -> list[Route]:
        """Everything under ``/console``, and ``/``."""
        live, parts = self._live_pages, segments.SegmentPages()
        pages: tuple[tuple[str, str, Page], ...] = (
            (HOME, "", live.page),
            ("/console/live/rows/{id}", LIVE, live.detail),
            (contacts.PATH, "contacts:read", contacts.contacts),
            (f"{contacts.PATH}/{{id}}", "contacts:read", contacts.contact),
            (f"{contacts.PATH}/{{id}}/why/{{segment}}", "segments:read", contacts.why),
            (segments.PATH, "segments:read", parts.segments),
            (f"{segments.PATH}/new", "segments:write", parts.new),
            (f"{segments.PATH}/{{id}}", "segments:read", parts.segment),
            (f"{segments.PATH}/{{id}}/standing", "segments:read", parts.standing),
            (f"{segments.PATH}/{{id}}/history", "segments:read", parts.history),
            (campaigns.PATH, "campaigns:read", campaigns.campaigns),
            (f"{campaigns.PATH}/{{id}}", "campaigns:read", campaigns.campaign),
            (webhooks.PATH, "webhooks:read", webhooks.webhooks),
            (f"{webhooks.PATH}/{{id}}", "webhooks:read", webhooks.webhook),
            (f"{webhooks.PATH}/{{id}}/attempts/{{delivery}}", "webhooks:read", webhooks.attempt),
            (quarantine.PATH, "admin", quarantine.quarantine),
            (f"{quarantine.PATH}/{{id}}", "admin", quarantine.record),
            (operate.PIPELINE, "admin", operate.pipeline),
            ("/console/keys", "admin", keys.keys),
        )
        actions: tuple[tuple[str, str, Page], ...] = (
            ("/console/live/again", "events:ingest", live.again),
            ("/console/sign-out", "", self._sign_out),
            ("/console/environment", "", self._choose_environment),
            (f"{contacts.PATH}/{{id}}/split", "contacts:write", contacts.split),
            (f"{contacts.PATH}/{{id}}/erase", "contacts:write", contacts.erase),
            (segments.PATH, "segments:write", parts.save),
            (f"{segments.PATH}/preview", "segments:read", parts.preview),
            (f"{segments.PATH}/{{id}}/delete", "segments:write", parts.delete),
            (f"{campaigns.PATH}/{{id}}/launch", "campaigns:write", campaigns.launch),
            (webhooks.PATH, "webhooks:write", webhooks.create),
            (f"{webhooks.PATH}/retry", "webhooks:write", webhooks.retry_several),
            (f"{webhooks.PATH}/{{id}}/retry", "webhooks:write", webhooks.retry_all),
            (f"{webhooks.PATH}/{{id}}/test", "webhooks:write", webhooks.test),
            (f"{webhooks.PATH}/{{id}}/switch", "webhooks:write", webhooks.switch),
            (f"{webhooks.PATH}/{{id}}/attempts/{{delivery}}/retry", "webhooks:write", webhooks.retry),
            (f"{quarantine.PATH}/replay", "admin", quarantine.replay),
            (f"{quarantine.PATH}/discard", "admin", quarantine.discard),
            (f"{quarantine.PATH}/{{id}}/replay", "admin", quarantine.replay_one),
            (f"{quarantine.PATH}/{{id}}/discard", "admin", quarantine.discard_one),
            ("/console/keys", "admin", keys.create),
            ("/console/keys/{id}/revoke", "admin", keys.revoke),
        )
        return [
            Route("/v1/live", self._live, name=LIVE),
            Route("/", self._enter),
            Route(SIGN_IN, self._sign_in, methods=["GET", "POST"], middleware=_PACKED),
            Route("/console/links", self._link, methods=["POST"]),
            Route(f"{PREFIX}/{{digest}}/{{name}}", self._assets.serve),
            Route("/console/live/stream", self._endpoint(LIVE, live.stream)),
            *(self._route("GET", *row) for row in pages),
            *(self._route("POST", *row) for row in actions),
            Route("/console/{path:path}", self._endpoint("", _missing), middleware=_PACKED),
        ]

    def _route(self, method: str, path: str, scope: str, page: Page) -> Route:
        return Route(path, self._endpoint(scope, page), methods=[method], middleware=_PACKED)

    def _endpoint(self, scope: str, page: Page) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            visit = await self.visit(request)
            if visit is None:
                return self._to_sign_in(request)
            try:
                visit.need(scope)
                return await page(visit)
            except ApiError as refused:
                if refused.code == "invalid_key":
                    return self._to_sign_in(request)
                template = "fragment_error.html" if "hx-request" in request.headers else "error.html"
                return visit.page(template, refused.status, refused=refused, title="That did not work")

        return endpoint

    async def visit(self, request: Request) -> Visit | None:
        """Returns the browser's session, or ``None`` if it is not signed in."""
        session = self._sessions.open(request.cookies.get(COOKIE))
        if session is None:
            return None
        try:
            principal = await self._principal(session)
        except ApiError:
            return None
        environments = [principal.environment]
        if "admin" in principal.scopes:
            defined = self._control.environments[principal.workspace].values()
            environments = [environment.id for environment in sorted(defined, key=lambda e: e.number)]
        api = Api(self._connection, session)
        nonce = secrets.token_urlsafe(16)
        return Visit(
            request, session, principal, api, self._templates, nonce, NAVIGATION, environments, self._public_url
        )

    async def _principal(self, session: Session) -> Principal:
        """Raises ``ApiError`` (401) for a key that is invalid now."""
        headers = {b"authorization": b"Bearer " + session.key.encode("utf-8", "surrogatepass")}
        return await self._authorised(headers, {"environment": session.environment} if session.environment else {})

    async def _authorised(
        self, headers: Mapping[bytes, bytes], query: Mapping[str, str], scope: str | None = None
    ) -> Principal:
        try:
            return web.authorise(self._control, headers, query, scope, now_ms())
        except ApiError:
            await self._tail.catch_up()
        return web.authorise(self._control, headers, query, scope, now_ms())

    async def _live(self, request: Request) -> Response:
        """Streams the live view to programs: a line for each row, and for each change of it."""
        headers, query = dict(request.scope["headers"]), dict(request.query_params)
        principal, key = await self._authorised(headers, query, LIVE), key_of(headers, query) or ""
        parameters.check("GET", request.url.path, request.scope["query_string"])
        return self._live_pages.lines(principal, lambda: self._control.key(key, now_ms()) is not None, query)

    async def _enter(self, request: Request) -> Response:
        """Serves ``/``: a browser goes to the console, and a code signs it in; a program gets the addresses."""
        if "text/html" not in request.headers.get("accept", ""):
            return web.JsonResponse({"console": "/console", "documentation": "/docs", "openapi": "/openapi.json"})
        code = request.query_params.get("code")
        if code is None:
            return RedirectResponse(HOME, 303, {"Cache-Control": "no-store"})
        key = self._codes.take(code)
        if key is None:
            return self._sign_in_page("This link was used already or is older than ten minutes.", 401)
        return await self._signed_in(key, HOME)

    async def _sign_in(self, request: Request) -> Response:
        if request.method == "GET":
            return self._sign_in_page()
        try:
            form = dict(await form_of(request))
            return await self._signed_in(form.get("key", "").strip(), form.get("next", HOME))
        except ApiError as refused:
            return self._sign_in_page(refused.message, refused.status)

    async def _signed_in(self, key: str, then: str) -> Response:
        try:
            principal = await self._principal(Session(key, ""))
        except ApiError:
            return self._sign_in_page("This key is unknown, revoked or expired.", 401)
        if principal.kind != "secret":
            return self._sign_in_page("A public key can only send events. Use a secret key (sk_…).", 403)
        answer = RedirectResponse(local(then), 303, {"Cache-Control": "no-store"})
        self._keep(answer, Session(key, ""))
        return answer

    def _keep(self, answer: Response, session: Session) -> None:
        answer.set_cookie(
            COOKIE,
            self._sessions.seal(session),
            max_age=COOKIE_S,
            path="/console",
            secure=self._public_url.startswith("https:"),
            httponly=True,
            samesite="strict",
        )

    async def _sign_out(self, visit: Visit) -> Response:
        await visit.form()
        answer = visit.go(SIGN_IN)
        answer.delete_cookie(COOKIE, path="/console", httponly=True, samesite="strict")
        return answer

    async def _choose_environment(self, visit: Visit) -> Response:
        form = await visit.form()
        chosen = form.get("environment", "")
        if chosen not in visit.environments:
            raise ApiError("unknown_environment", "no such environment", "environment")
        answer = visit.go(local(form.get("next", HOME)))
        self._keep(answer, Session(visit.session.key, chosen))
        return answer

    async def _link(self, request: Request) -> Response:
        """Creates a one-time code that signs a browser in with this request's key."""
        headers = dict(request.scope["headers"])
        principal = web.authorise(self._control, headers, {}, None, now_ms())
        key = key_of(headers, {})
        if key is None or principal.kind != "secret":
            raise ApiError("missing_scope", "a link to the console needs a secret key")
        return web.JsonResponse({"path": f"/?code={self._codes.make(key)}"}, 201, {"Cache-Control": "no-store"})

    def _to_sign_in(self, request: Request) -> Response:
        if "hx-request" in request.headers:
            return Response(status_code=204, headers={"HX-Redirect": SIGN_IN, "Cache-Control": "no-store"})
        # the address of a form is no page
        return self._sign_in_page(status=401, then=request.url.path if request.method == "GET" else HOME)

    def _sign_in_page(self, complaint: str = "", status: int = 200, then: str = HOME) -> Response:
        nonce = secrets.token_urlsafe(16)
        values: dict[str, Any] = {"nonce": nonce, "complaint": complaint, "next": then, "title": "Sign in"}
        return HTMLResponse(self._templates.render("sign_in.html", values), status, policy.headers(nonce))


def local(path: str) -> str:
    """Turns any value of a form into a path of the console."""
    return path if path.startswith("/console/") and "\\" not in path and "\n" not in path else HOME


async def _missing(visit: Visit) -> Response:
    if visit.request.url.path.rstrip("/") == "/console":
        return visit.go(HOME)
    raise ApiError("not_found", "there is no such page")
