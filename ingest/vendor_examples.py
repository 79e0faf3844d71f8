"""A body for each vendor's path that takes one, as its clients send it; tests send each of them; pure."""

from typing import Any

_AT = "2026-05-28T20:26:40.000Z"
_PERSON = {"email": "ada@example.com", "plan": "pro"}
_CONTEXT = {"context": {"page": {"path": "/pricing"}}, "timestamp": _AT}

_ALTERTABLE: dict[str, Any] = {
    "/track": {
        "environment": "production",
        "event": "order_completed",
        "distinct_id": "u1",
        "properties": {"total": 149, "$url": "https://shop.example/cart"},
        "timestamp": _AT,
    },
    "/identify": {"environment": "production", "distinct_id": "u1", "traits": _PERSON},
    "/alias": {"environment": "production", "distinct_id": "browser-7", "new_user_id": "u1"},
}

_USER = {"anonymous_id": "browser-7", "external_id": "u1", "email": "ada@example.com", "data": {"plan": "pro"}}
_EVENTS = [{"name": "order_completed", "external_id": "u1", "data": {"total": 149}}]
_DEVICE = {"external_id": "u1", "device_id": "d1", "token": "t1", "os": "ios", "model": "iPhone"}
_GROUP = {"external_id": "acme", "name": "Acme", "data": {"plan": "team"}}
_GROUPED = {"organization_external_id": "acme", "user": {"external_id": "u1"}}
_PARCELVOY: dict[str, Any] = {
    "/api/client/identify": _USER,
    "/api/client/alias": {"anonymous_id": "browser-8", "external_id": "u1"},
    "/api/client/devices": _DEVICE,
    "/devices": _DEVICE,
    "/api/client/events": _EVENTS,
    "/api/client/track": _EVENTS,
    "/events": _EVENTS,
}

_CALLS: dict[str, Any] = {
    "track": {"userId": "u1", "event": "Order Completed", "properties": {"total": 149}, **_CONTEXT},
    "identify": {"userId": "u1", "traits": _PERSON, **_CONTEXT},
    "page": {"anonymousId": "browser-7", "name": "Pricing", "properties": {"path": "/pricing"}, **_CONTEXT},
    "screen": {"userId": "u1", "name": "Cart", "properties": {}, **_CONTEXT},
    "group": {"userId": "u1", "groupId": "acme", "traits": {"name": "Acme"}, **_CONTEXT},
    "alias": {"previousId": "browser-7", "userId": "u1", **_CONTEXT},
}
_BATCH = {"batch": [{"type": kind, **call} for kind, call in _CALLS.items()], "sentAt": _AT}
_SHORT = {kind[0]: call for kind, call in _CALLS.items()}

_CAPTURE = {
    "api_key": "pk_dev_local",
    "event": "order_completed",
    "distinct_id": "u1",
    "properties": {"total": 149},
    "timestamp": _AT,
}
_FLAGS = {"api_key": "pk_dev_local", "distinct_id": "u1"}

_PROFILE = {"token": "sk_dev_local", "db_id": 1, "matching": "email", "email": "ada@example.com"}
_ALTCRAFT: dict[str, Any] = {
    "profiles/import": {**_PROFILE, "data": {"_fname": "Ada", "plan": "pro"}},
    "profiles/update": {**_PROFILE, "data": {"plan": "team"}},
    "profiles/get": _PROFILE,
    "profiles/delete": _PROFILE,
    "campaigns/triggers/start": {
        "token": "sk_dev_local",
        "id": 1,
        "matching": "email",
        "email": "ada@example.com",
        "content": {"title": "Hello"},
    },
}


def example_of(source: str, path: str) -> Any:
    """An example body; ``None`` for a path that takes no body."""
    path = path.rstrip("/")
    last = path.rpartition("/")[2]
    match source:
        case "altertable":
            return _ALTERTABLE[path]
        case "parcelvoy":
            return _PARCELVOY.get(path) or _lunogram(path)
        case "segment" if not path.startswith("/pixel"):
            return _BATCH if last in ("batch", "import", "b") else _CALLS.get(last) or _SHORT.get(last)
        case "posthog":
            return _FLAGS if last in ("decide", "flags") else _posthog(path)
        case "altcraft":
            return {} if path.startswith("/trg") else _ALTCRAFT.get(path.partition("/api/v1.1/")[2])
    return None


def _lunogram(path: str) -> Any:
    """Its newer paths, with a project's name in them or not."""
    group, _, what = path.rpartition("/client/")[2].rpartition("projects/{project}/")[2].partition("/")
    if group == "users":
        return {"events": _EVENTS, "scheduled": {"external_id": "u1", "name": "trial_end", "scheduled_at": _AT}}.get(
            what, _USER
        )
    if group == "organizations":
        scheduled = {"external_id": "acme", "name": "renewal", "scheduled_at": _AT}
        events = [{"name": "seat_added", "external_id": "acme", "data": {"seats": 3}}]
        return {"users": _GROUPED, "events": events, "scheduled": scheduled}.get(what, _GROUP)
    return None


def _posthog(path: str) -> Any:
    if path.endswith("/batch"):
        return {"api_key": "pk_dev_local", "batch": [{k: v for k, v in _CAPTURE.items() if k != "api_key"}]}
    if path.endswith("/analytics/events"):
        return None
    return _CAPTURE if not path.startswith("/array") else None
