"""SDK requests of Segment and RudderStack other than events: settings, pixels and the SDKs' own metrics.

Source: `packages/browser` of segmentio/analytics-next, rudderlabs/rudder-sdk-js, `gateway` of rudderlabs/rudder-server.

1. An SDK sends nothing before it has its settings. These are the smallest that an SDK accepts: no destination but this
   server, no metrics of its own.
2. A pixel's parameters are the fields of the call; a dot in a name leads into an object.
"""

from base64 import b64decode
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import orjson

from ingest.dialects import segment
from ingest.events.operation import JSON, CallOperation, ConstantOperation, DialectContext, Handler
from ingest.events.raw import Parsed, Reply
from ingest.http.credentials import Credentials
from schemas.errors import ApiError
from schemas.times import iso

GIF = b64decode(b"R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
"""A transparent pixel."""
PIXEL = Reply(status=200, body=GIF, headers=((b"content-type", b"image/gif"), (b"cache-control", b"no-store")))
MAX_DEPTH = 5
_PAGE = {"name": "Unknown Page"}
_OURS = frozenset({*segment.KEYS, "apiKey", "environment", "sync", "timeout_ms"})


def nothing(_content_type: bytes, _data: bytes, _most: int) -> Any:
    """A GET has no body to read."""
    return None


async def settings(_value: Any, request: DialectContext) -> Reply:
    """Segment's: where to send to."""
    here = urlsplit(request.base_url)
    destination = {"apiKey": request.key, "apiHost": f"{here.netloc}{here.path}/v1", "protocol": here.scheme}
    return _json({"integrations": {"Segment.io": destination}, "metrics": {"sampleRate": 0}})


async def source_config(_value: Any, request: DialectContext) -> Reply:
    """RudderStack's: a source without destinations, and nothing to report about itself."""
    silent = {"enabled": False}
    source = {
        "id": request.principal.key_id,
        "name": "headwater",
        "writeKey": request.key,
        "enabled": True,
        "workspaceId": request.principal.workspace,
        "destinations": [],
        "connections": [],
        "config": {"statsCollection": {"errors": silent, "metrics": silent}},
    }
    return _json({"source": source, "updatedAt": iso(request.now_ms)})


async def track(_value: Any, request: DialectContext) -> Reply:
    return await _pixel("track", {}, request)


async def page(_value: Any, request: DialectContext) -> Reply:
    return await _pixel("page", _PAGE, request)


async def _pixel(kind: str, usual: Mapping[str, str], request: DialectContext) -> Reply:
    call = {**usual, **call_of(request.query)}
    answer = await request.take(Parsed(items=[segment.CALLS[kind](call, None)], atomic=True, label=None))
    for item in answer.items:
        if isinstance(item, ApiError):
            raise item
    return PIXEL


def call_of(query: Mapping[str, str]) -> dict[str, Any]:
    """The call that a pixel's parameters describe; raises ``ApiError`` for an ambiguous name or one nested too deep."""
    call: dict[str, Any] = {}
    for name, value in query.items():
        if name in _OURS:
            continue
        *path, last = name.split(".")
        if len(path) >= MAX_DEPTH:
            raise ApiError("invalid_field", f"a parameter nests at most {MAX_DEPTH} deep", name)
        place = call
        for part in path:
            place = place.setdefault(part, {})
            if not isinstance(place, dict):
                break
        if not isinstance(place, dict) or last in place:
            raise ApiError("invalid_field", f"{name} is given twice", name)
        place[last] = value
    return call


def _json(value: Any) -> Reply:
    return Reply(status=200, body=orjson.dumps(value), headers=(JSON,))


def _get(path: str, handler: Handler, key_in_path: str = "") -> CallOperation:
    return CallOperation(
        source="segment",
        path=path,
        methods=("GET",),
        read=nothing,
        handler=handler,
        refuse=segment.refuse,
        lenient=True,
        credentials=Credentials(in_query=segment.KEYS, in_path=key_in_path),
    )


OPERATIONS = (
    _get("/v1/projects/{key}/settings", settings, key_in_path="key"),
    _get("/sourceConfig", source_config),
    _get("/sourceConfig/", source_config),
    _get("/pixel/v1/track", track),
    _get("/pixel/v1/page", page),
    ConstantOperation(source="segment", path="/v1/m", answer=segment.DONE, refuse=segment.refuse),
)
