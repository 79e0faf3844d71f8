"""Bodies of keys, environments and workspaces in; their records, and the answers to their writes, out.

A key is shown once, in the answer that makes it: only its hash is kept.
"""

import secrets
from typing import Any

from schemas import ids
from schemas.api.requests.access import NewEnvironment, NewKey, NewWorkspace, WorkspaceEdit
from schemas.control import control_state
from schemas.control.access import Principal
from schemas.control.control_state import ApiKey, ControlState, Environment, Workspace
from schemas.control.definitions import PUBLIC_SCOPES
from schemas.control.lookup import require_environment
from schemas.errors import ApiError
from schemas.limits import KEPT_DAYS
from schemas.times import parse_time

PREFIXES = {"secret": "sk_", "public": "pk_"}
FIRST_ENVIRONMENTS = ("production", "staging")
INSTANCE = "instance"
ADMIN = "admin"


def new_key(body: NewKey, principal: Principal, state: ControlState, now_ms: int) -> tuple[ApiKey, str]:
    """The record and the secret. A key without the scope ``instance`` cannot create keys that have it."""
    environment = require_environment(
        state.environments[principal.workspace], body.environment or principal.environment
    )
    scopes = _scopes(body, principal)
    expires_ms = None
    if body.expires_at is not None:
        expires_ms = parse_time(body.expires_at)
        if expires_ms is None or expires_ms <= now_ms:
            raise ApiError("invalid_field", "expires_at must be in the future", "expires_at")
    secret = PREFIXES[body.kind] + secrets.token_urlsafe(32)
    key = ApiKey(
        id=ids.new_id("key_", now_ms),
        workspace=principal.workspace,
        created_ms=now_ms,
        name=body.name,
        kind=body.kind,
        scopes=scopes,
        environment=environment,
        sha256=control_state.digest(secret),
        expires_ms=expires_ms,
        rate_limit=body.rate_limit,
    )
    return key, secret


def _scopes(body: NewKey, principal: Principal) -> tuple[str, ...]:
    allowed = PUBLIC_SCOPES if body.kind == "public" else control_state.SCOPES
    if body.scopes is None:
        if body.kind == "public":
            return PUBLIC_SCOPES
        raise ApiError("missing_field", "scopes is needed", "scopes")
    for n, scope in enumerate(body.scopes):
        if scope not in allowed:
            raise ApiError(
                "invalid_field", f"allowed scopes of a {body.kind} key: {', '.join(allowed)}", f"scopes[{n}]"
            )
        if scope == INSTANCE and INSTANCE not in principal.scopes:
            raise ApiError("missing_scope", f"the key lacks the scope {INSTANCE}", f"scopes[{n}]")
    if not body.scopes:
        raise ApiError("invalid_field", "at least one scope is needed", "scopes")
    return tuple(dict.fromkeys(body.scopes))


def check_revocable(key: ApiKey, state: ControlState, now_ms: int) -> None:
    """Raises ``ApiError`` (409) if no other key could create keys for at least as long as this one."""
    others = [other for other in state.keys.values() if other.id != key.id or other.workspace != key.workspace]
    for scope in (ADMIN, INSTANCE):
        if scope not in key.scopes or not key.is_valid(now_ms):
            continue
        alike = [other for other in others if scope in other.scopes and other.is_valid(now_ms)]
        if scope == ADMIN:
            alike = [other for other in alike if other.workspace == key.workspace]
        if not any(_lasts_as_long(other, key) for other in alike):
            where = "of the workspace" if scope == ADMIN else "of all workspaces"
            last = f"it is the last key {where} with the scope {scope}, or the one that lasts longest"
            raise ApiError("conflict", f"{last}: make another one first")


def _lasts_as_long(other: ApiKey, key: ApiKey) -> bool:
    return other.expires_ms is None or (key.expires_ms is not None and other.expires_ms >= key.expires_ms)


def new_environment(body: NewEnvironment, workspace: str, state: ControlState, now_ms: int) -> Environment:
    """Numbers follow the order of creation."""
    environments = state.environments[workspace]
    if body.id in environments:
        raise ApiError("conflict", f"environment {body.id!r} exists already", "id")
    number = max((environment.number for environment in environments.values()), default=0) + 1
    return Environment(id=body.id, workspace=workspace, created_ms=now_ms, number=number, kind=body.kind)


def new_workspace(body: NewWorkspace, state: ControlState, now_ms: int) -> tuple[Workspace, list[Environment]]:
    workspace_id = body.id or ids.new_id("ws_", now_ms)
    if workspace_id in state.workspaces:
        raise ApiError("conflict", f"workspace {workspace_id!r} exists already", "id")
    common: dict[str, Any] = {"workspace": workspace_id, "created_ms": now_ms}
    workspace = Workspace(id=workspace_id, name=body.name, allowed_origins=tuple(body.allowed_origins), **common)
    return workspace, [Environment(id=e, number=n, **common) for n, e in enumerate(FIRST_ENVIRONMENTS, 1)]


def first_key(workspace: Workspace, now_ms: int, *, instance: bool = False) -> tuple[ApiKey, str]:
    """A key with all scopes; ``instance`` adds the scope of the instance."""
    secret = PREFIXES["secret"] + secrets.token_urlsafe(32)
    key = ApiKey(
        id=ids.new_id("key_", now_ms),
        workspace=workspace.id,
        created_ms=now_ms,
        name="first key",
        kind="secret",
        scopes=tuple(scope for scope in control_state.SCOPES if instance or scope != INSTANCE),
        environment=FIRST_ENVIRONMENTS[0],
        sha256=control_state.digest(secret),
    )
    return key, secret


def edited_workspace(workspace: Workspace, body: WorkspaceEdit) -> Workspace:
    """Fields that are not given stay; limits are replaced one by one, ``null`` restores the default."""
    changes = {name: getattr(body, name) for name in body.model_fields_set if getattr(body, name) is not None}
    if "allowed_origins" in changes:
        changes["allowed_origins"] = tuple(changes["allowed_origins"])
    if "limits" in changes:
        limits = workspace.limits | changes["limits"]
        changes["limits"] = {kind: most for kind, most in limits.items() if most is not None}
    if body.retention is not None:
        days = {name: getattr(body.retention, f"{name}_days") for name in KEPT_DAYS}
        edited = {name for name in KEPT_DAYS if f"{name}_days" in body.retention.model_fields_set}
        kept = {**workspace.retention, **{name: days[name] for name in edited}}
        changes["retention"] = {name: most for name, most in kept.items() if most is not None}
    return workspace.model_copy(update=changes)
