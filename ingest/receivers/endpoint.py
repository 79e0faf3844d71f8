"""Endpoints for providers' webhooks in (defined, removed, posted to), durable events and answers out.

1. The edge stores nothing of a request that the provider did not sign: 401, or 404 if the endpoint does not exist.
2. The edge accepts a request as a whole, and answers 200 when all of it is durable; the provider repeats the others.
3. The only outgoing calls go to Amazon SNS: for the certificate that signed a message, and to confirm the subscription
   that such a message requests.
"""

import aiohttp
from cachetools import TTLCache
from starlette.requests import Request
from starlette.responses import Response
from yarl import URL

from ingest.control.writer import ControlWriter
from ingest.events.batch import TimeSlice
from ingest.events.canonical import Caller, canonical
from ingest.events.edge import Edge
from ingest.events.raw import RawEvent
from ingest.http import body
from ingest.receivers import PROVIDERS, define, ses
from ingest.receivers.provider_request import ENDS_CONSENT, ProviderRequest
from ingest.receivers.replay import ReplayGuard
from schemas.api import serialize
from schemas.control.control_state import Receiver
from schemas.control.lookup import require_environment
from schemas.errors import ApiError
from schemas.service.web import JsonResponse

PATH = "/v1/receivers"
_TIMEOUT = aiohttp.ClientTimeout(total=8)
_MAX_ANSWER = 64 * 1024
_CERTIFICATE_S = 3600.0
_MAX_CERTIFICATES = 64


class Sns:
    """A client of Amazon SNS; certificates are kept for an hour."""

    def __init__(self, base_url: str) -> None:
        self._base = base_url
        self._certificates: TTLCache[str, bytes] = TTLCache(_MAX_CERTIFICATES, _CERTIFICATE_S)

    async def certificate(self, url: str) -> bytes:
        """Raises ``ApiError`` (503) where it does not come: SNS sends the message again."""
        pem = self._certificates.get(url)
        if pem is None:
            pem = self._certificates[url] = await self.get(url)
        return pem

    async def get(self, url: str) -> bytes:
        """``url`` has been checked to be SNS's."""
        target = URL(url, encoded=True)
        if self._base:
            target = URL(f"{self._base}{target.raw_path_qs}", encoded=True)
        try:
            async with (
                aiohttp.ClientSession(timeout=_TIMEOUT) as session,
                session.get(target, allow_redirects=False) as answer,
            ):
                if answer.status != 200:
                    raise ApiError("unavailable", f"Amazon SNS answered {answer.status}; try again")
                return await answer.content.read(_MAX_ANSWER)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise ApiError("unavailable", "Amazon SNS does not answer; try again") from error


class Receivers:
    """Handlers; ``schemas.service.web.ErrorMiddleware`` answers their errors."""

    def __init__(self, edge: Edge, writer: ControlWriter) -> None:
        self._edge = edge
        self._writer = writer
        self._sns = Sns(edge.settings.sns_url)
        self._replays = ReplayGuard()

    async def create(self, request: Request) -> Response:
        now_ms = self._edge.clock()
        principal = self._edge.authorise(request, "webhooks:write")
        body.check_content_type(request.headers.get("content-type", "").encode("latin-1"))
        value = body.parse(await self._body(request, principal.workspace))
        environment = principal.environment
        if isinstance(value, dict) and value.get("environment") is not None:
            environment = value["environment"]
            if not isinstance(environment, str):
                raise ApiError("invalid_field", "environment must be a string", "environment")
            require_environment(self._edge.control.environments[principal.workspace], environment)
        receiver = define.new_receiver(value, principal.workspace, environment, now_ms)
        await self._writer.put("receiver", receiver)
        base = self._edge.settings.public_url or str(request.base_url).rstrip("/")
        return JsonResponse(serialize.made_receiver(receiver, base), 201)

    async def delete(self, request: Request) -> Response:
        control, principal = self._edge.control, self._edge.authorise(request, "webhooks:write")
        receiver = control.receivers.get(request.path_params["id"])
        if receiver is None or (receiver.workspace, receiver.environment) != (
            principal.workspace,
            principal.environment,
        ):
            raise ApiError("not_found", "no such receiver")
        await self._writer.put("receiver", receiver.model_copy(update={"deleted": True, "secret": ""}))
        return Response(status_code=204)

    async def receive(self, request: Request) -> Response:
        receiver = self._edge.control.receivers.get(request.path_params["id"])
        if receiver is None or receiver.provider != request.path_params["provider"]:
            raise ApiError("not_found", "no such receiver")
        posted = await self._posted(request, receiver)
        if receiver.provider == ses.PROVIDER:
            raws = await self._ses(posted)
        else:
            provider = PROVIDERS[receiver.provider]
            provider.verify(posted)
            if provider.token is not None:
                self._replays.check(receiver.workspace, provider.token(posted), posted.body, posted.now_ms)
            raws = provider.events(posted)
        return JsonResponse({"accepted": await self._take(receiver, raws)})

    async def _ses(self, posted: ProviderRequest) -> list[RawEvent]:
        message = ses.message_of(posted)
        ses.check(posted, message)
        ses.verify(message, await self._sns.certificate(ses.certificate_url(message)), posted.now_ms)
        if message["Type"] == ses.CONFIRMATION:
            await self._sns.get(ses.amazon(message.get("SubscribeURL"), "SubscribeURL"))
        return ses.events(message)

    async def _take(self, receiver: Receiver, raws: list[RawEvent]) -> int:
        settings = self._edge.settings
        if len(raws) > settings.max_vendor_events:
            raise ApiError("too_many", f"at most {settings.max_vendor_events} events in one request")
        caller = Caller(
            workspace=receiver.workspace,
            environment=receiver.environment,
            key_id=receiver.id,
            source=receiver.provider,
            now_ms=self._edge.clock(),
            max_depth=settings.max_depth,
            lenient=True,
            campaigns=self._edge.control.campaigns,
        )
        events = []
        turns = TimeSlice()
        for raw in raws:
            if raw.type in ENDS_CONSENT and raw.identifiers:
                raw.profile = {"consents": {receiver.ended_consent: False}}
            events.append(canonical(raw, caller)[0])
            if turns.is_over():
                await turns.next()
        for index, event in enumerate(events):
            self._edge.check_size(event, f"[{index}]")
        for future in {self._edge.submit(event) for event in events}:
            await future
        return len(events)

    async def _posted(self, request: Request, receiver: Receiver) -> ProviderRequest:
        return ProviderRequest(
            receiver=receiver,
            urls=self._urls(request),
            query=dict(request.query_params),
            headers=dict(request.headers),
            body=await self._body(request, receiver.workspace),
            now_ms=self._edge.clock(),
        )

    async def _body(self, request: Request, workspace: str) -> bytes:
        limit = self._edge.settings.max_body_bytes
        raw = await body.read(request.receive, limit, workspace)
        raw = body.decode(raw, request.headers.get("content-encoding", "").encode("latin-1"), limit)
        body.hold(request.scope, raw, workspace)
        return raw

    def _urls(self, request: Request) -> tuple[str, ...]:
        """As the provider may have called this request: a proxy before us may have ended TLS, or named the port."""
        path = request.scope["raw_path"].decode("latin-1").partition("?")[0]
        query = request.scope["query_string"].decode("latin-1")
        rest = f"{path}?{query}" if query else path
        if self._edge.settings.public_url:
            return (self._edge.settings.public_url + rest,)
        host = request.headers.get("host", "")
        hosts = {host, host.partition(":")[0], f"{host}:443" if ":" not in host else host}
        return tuple(f"{scheme}://{host}{rest}" for scheme in ("https", "http") for host in sorted(hosts))
