"""A request of a slower path in, the JSON value of its body out."""

from typing import Any

from starlette.requests import Request

from ingest.http import body
from ingest.http.cors import WORKSPACE
from schemas.service.memory_budget import UNKNOWN
from schemas.settings import Settings


async def json_of(request: Request, settings: Settings, default: Any = None) -> Any:
    """The body's value; raises ``ApiError`` for invalid JSON, and for an unsupported size, type or encoding."""
    headers: dict[bytes, bytes] = dict(request.scope["headers"])
    limit = settings.max_body_bytes
    body.check_content_type(headers.get(b"content-type", b""))
    raw = await body.read(request.receive, limit, request.scope.get(WORKSPACE, UNKNOWN))
    if not raw and default is not None:
        return default
    raw = body.decode(raw, headers.get(b"content-encoding", b""), limit)
    body.hold(request.scope, raw, request.scope.get(WORKSPACE, UNKNOWN))
    return body.parse(raw)
