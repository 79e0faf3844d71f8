"""A request's headers and query in; the principal, its scopes and its environment out; pure."""

from base64 import b64decode
from collections.abc import Mapping
from typing import NamedTuple

from schemas.control.control_state import ControlState
from schemas.control.lookup import require_environment
from schemas.errors import ApiError

_KEYS = (b"pk_", b"sk_")
KEY_HEADERS = (b"authorization", b"x-api-key", b"x-write-key")
"""Headers that may hold a key."""
ADMINISTRATIVE = frozenset({"admin", "instance"})


class Principal(NamedTuple):
    """The holder of a valid key. A tuple: one is made for each request, a frozen dataclass takes twice as long."""

    key_id: str
    kind: str
    workspace: str
    environment: str
    """The key's own environment; ``environment_of`` returns the one that a request is about."""
    scopes: tuple[str, ...]
    rate_limit: int | None = None


def key_of(headers: Mapping[bytes, bytes], query: Mapping[str, str]) -> str | None:
    """The API key: in ``Authorization``, in ``X-API-Key`` or ``X-Write-Key``, then ``?apiKey=``.

    ``Authorization`` is ``Bearer`` and the key, ``Basic`` with the key as user, or the key alone, as one SDK has it.
    """
    authorization = headers.get(b"authorization")
    if authorization is not None:
        scheme, _, secret = authorization.partition(b" ")
        scheme = scheme.lower()
        if scheme == b"bearer" and secret:
            return secret.strip().decode("latin-1")
        if scheme == b"basic":
            return _user_of(secret)
        if not secret and authorization.startswith(_KEYS):
            return authorization.decode("latin-1")
    header = headers.get(b"x-api-key")
    if header:
        return header.decode("latin-1")
    header = headers.get(b"x-write-key")
    if header:
        # of a pair "key:secret" the key, as the user of Basic is
        return header.partition(b":")[0].decode("latin-1")
    return query.get("apiKey")


def check_place(principal: "Principal", headers: Mapping[bytes, bytes], query: Mapping[str, str]) -> None:
    """Raises ``ApiError`` (403) for a key with administrative scopes in a URL: proxies log those."""
    if not query.get("apiKey") or any(headers.get(name) for name in KEY_HEADERS):
        return
    if ADMINISTRATIVE.intersection(principal.scopes):
        message = "a key with admin rights is not taken from a URL: send it in the header Authorization"
        raise ApiError("missing_scope", message)


def _user_of(credentials: bytes) -> str | None:
    try:
        return b64decode(credentials.strip(), validate=True).decode("latin-1").partition(":")[0] or None
    except ValueError:
        return None


def authorise(control: ControlState, key: str | None, scope: str | None, now_ms: int) -> Principal:
    """Returns the caller; raises ``ApiError``: 401 without a valid key, 403 without the scope.

    Without ``scope`` the handler checks it later.
    """
    if not key:
        raise ApiError("missing_key", "an API key is needed: Authorization: Bearer KEY", "Authorization")
    api_key = control.key(key, now_ms)
    if api_key is None:
        raise ApiError("invalid_key", "the API key is unknown, revoked or expired", "Authorization")
    if scope is not None and scope not in api_key.scopes:
        raise ApiError("missing_scope", f"the key lacks the scope {scope}")
    return Principal(
        key_id=api_key.id,
        kind=api_key.kind,
        workspace=api_key.workspace,
        environment=api_key.environment,
        scopes=api_key.scopes,
        rate_limit=api_key.rate_limit,
    )


def environment_of(
    control: ControlState, principal: Principal, headers: Mapping[bytes, bytes], query: Mapping[str, str]
) -> str:
    """The environment that the request is about: ``?environment=``, the header, else the key's own.

    Raises ``ApiError``: 403 for another one with a public key, 422 for one that does not exist.
    """
    requested = query.get("environment")
    if requested is None:
        header = headers.get(b"headwater-environment")
        if header is None:
            return principal.environment
        requested = header.decode("latin-1")
    if requested == principal.environment:
        return requested
    if principal.kind != "secret":
        raise ApiError("missing_scope", "a public key is limited to its own environment", "environment")
    return require_environment(control.environments[principal.workspace], requested)
