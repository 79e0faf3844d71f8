"""A browser's request in; the CORS headers of its answer out: which pages may read it, and send which requests.

1. A page may read the answer to a public key's request where the key's workspace allows the page, whatever the answer
   is: an SDK that cannot read a 429 sends again at once. The answer to a secret key is readable by no page.
2. An answer that comes before a key is known (a preflight, a 401, a body that is too large) says nothing about a
   workspace, so it is readable where any workspace allows the page.
3. Of a path that takes no events only refusals are readable: health, metrics and pages are no page's business.
4. A preflight allows the headers that it asks for: SDKs and tracing tools add headers of their own, and a header
   gives a page no rights. It allows credentials, because beacons always send cookies; no part of the edge reads one.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl

from starlette.routing import compile_path

from schemas.control import access
from schemas.control.control_state import ControlState
from schemas.service.web import HEADERS, Message, Scope, Send

WORKSPACE = "headwater.workspace"
"""Name in a request's scope: the workspace of its key, once the key is known."""
KIND = "headwater.kind"
"""Name in a request's scope: the kind of its key, once the key is known."""
Headers = tuple[tuple[bytes, bytes], ...]
_ALLOW_ORIGIN = b"access-control-allow-origin"
_EXPOSED = b"X-Request-Id, Retry-After, RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset"
_USUAL = b"authorization, content-type, x-api-key, idempotency-key, x-request-id"
_REFUSALS = frozenset({400, 401, 403, 404, 405, 409, 413, 415, 422, 429})
_NAMES = re.compile(rb"[A-Za-z0-9!#$%&'*+.^_`|~, -]{1,8192}")


class CorsPolicy:
    """``paths``: the paths that take events, with the methods of each; a path may have named parts."""

    def __init__(self, control: ControlState, paths: Iterable[tuple[str, tuple[str, ...]]]) -> None:
        self._control = control
        self._plain: dict[str, set[str]] = {}
        for path, methods in paths:
            self._plain.setdefault(path, set()).update(methods)
        named = [path for path in self._plain if "{" in path]
        self._patterns = [(compile_path(path)[0], self._plain.pop(path)) for path in named]

    def preflight(self, path: str, headers: Mapping[bytes, bytes]) -> Headers | None:
        """Headers of the answer to ``OPTIONS``; none where the path takes no events."""
        methods = self._methods(path)
        if not methods:
            return None
        vary = (b"vary", b"Origin, Access-Control-Request-Headers")
        origin = headers.get(b"origin")
        if origin is None or not _any_allows(self._control, origin):
            return (vary,)
        requested = headers.get(b"access-control-request-headers", b"")
        return (
            *_readable(origin),
            (b"access-control-allow-methods", ", ".join(sorted(methods)).encode()),
            (b"access-control-allow-headers", requested if _NAMES.fullmatch(requested) else _USUAL),
            (b"access-control-max-age", b"600"),
            vary,
        )

    def answering(self, scope: Scope, send: Send, now_ms: int) -> Send:
        """``send`` for a request with an ``Origin``."""

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = message.get("headers", ())
                if not any(name == _ALLOW_ORIGIN for name, _ in headers):
                    message["headers"] = [*headers, *self._of_answer(scope, message["status"], now_ms)]
            await send(message)

        return sending

    def _methods(self, path: str) -> set[str]:
        methods = self._plain.get(path, set()) | self._plain.get(path.rstrip("/"), set())
        for pattern, more in self._patterns:
            if pattern.match(path):
                methods |= more
        return methods

    def _of_answer(self, scope: Mapping[str, Any], status: int, now_ms: int) -> Headers:
        headers = scope[HEADERS]
        origin, vary = headers[b"origin"], (b"vary", b"Origin")
        # an unavailable part of the API answers without a detail, unlike health
        is_refusal = status in _REFUSALS or (status == 503 and scope["path"].startswith("/v1/"))
        if not is_refusal and not self._methods(scope["path"]):
            return (vary,)
        kind, workspace = scope.get(KIND), scope.get(WORKSPACE)
        if kind is None:
            query = dict(parse_qsl(scope["query_string"].decode("latin-1")))
            secret = access.key_of(headers, query)
            key = self._control.key(secret, now_ms) if secret else None
            kind, workspace = (key.kind, key.workspace) if key else (None, None)
        if kind is None or workspace is None:
            allowed = _any_allows(self._control, origin)
        else:
            allowed = kind == "public" and allows(self._control, workspace, origin)
        return (*_readable(origin), vary) if allowed else (vary,)


def allows(control: ControlState, workspace: str, origin: bytes) -> bool:
    """Whether the workspace lets public keys be used on this page."""
    settings = control.workspaces.get(workspace)
    origins = () if settings is None else settings.allowed_origins
    return "*" in origins or origin.decode("latin-1") in origins


def _any_allows(control: ControlState, origin: bytes) -> bool:
    return any(allows(control, workspace, origin) for workspace in control.workspaces)


def _readable(origin: bytes) -> Headers:
    return (
        (_ALLOW_ORIGIN, origin),
        (b"access-control-allow-credentials", b"true"),
        (b"access-control-expose-headers", _EXPOSED),
    )
