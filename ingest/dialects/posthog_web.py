"""PostHog's SDK requests other than `/batch/`: configuration, flags, and version 1 of capture, event by event.

Source: posthog-js (`remote-config.ts`), posthog-android, and `capture_v1` of posthog-python and posthog-rs.

1. There are no feature flags, recordings or surveys here. The configuration states this in the SDKs' form, and
   allows them to capture clicks, which they would not do by default. It leaves surveys out: for any value newer
   SDKs load a script.
2. Version 1 answers for each event by its ``uuid``: ``ok``, ``drop`` (never valid) or ``retry`` (not durable yet).
"""

from typing import Any

import orjson

from ingest.dialects import posthog
from ingest.dialects.posthog import KEYS, both, event_of
from ingest.dialects.posthog_body import BATCH, read
from ingest.events.operation import JSON, CallOperation, DialectContext, Handler, check_count, each, object_of
from ingest.events.raw import Parsed, RawEvent, Reply
from ingest.http.credentials import Credentials
from schemas.errors import ApiError

CONFIG: dict[str, Any] = {
    "supportedCompression": ["gzip", "gzip-js"],
    "hasFeatureFlags": False,
    "autocapture_opt_out": False,
    "sessionRecording": False,
    "heatmaps": False,
    "siteApps": [],
    "defaultIdentifiedOnly": True,
    "captureDeadClicks": False,
    "capturePerformance": False,
}
FLAGS: dict[str, Any] = {
    **CONFIG,
    "flags": {},
    "featureFlags": {},
    "featureFlagPayloads": {},
    "errorsWhileComputingFlags": False,
    "config": {"enable_collect_everything": True},
    "toolbarParams": {},
    "isAuthenticated": False,
}
"""The path from which older SDKs read their configuration; the oldest capture clicks only if ``config`` enables it."""
SCRIPT = (b"content-type", b"application/javascript; charset=utf-8")
SENT_AT = b"posthog-request-timestamp"
SDK = b"posthog-sdk-info"
_OPTIONS = {
    "process_person_profile": "$process_person_profile",
    "cookieless_mode": "$cookieless_mode",
    "disable_skew_correction": "$ignore_sent_at",
    "product_tour_id": "$product_tour_id",
}
_FIELDS = {"session_id": "$session_id", "window_id": "$window_id"}
_TEMPORARY = frozenset((429, 500, 503))


def nothing(_content_type: bytes, _data: bytes, _most: int) -> Any:
    """A GET has no body to read."""
    return None


async def flags(value: Any, _request: DialectContext) -> Reply:
    object_of(value)
    return _json(FLAGS)


async def config(_value: Any, request: DialectContext) -> Reply:
    return _json({"token": request.key, **CONFIG})


async def config_script(_value: Any, request: DialectContext) -> Reply:
    """Returns the configuration as a script, which stores it in the variable that the SDK reads."""
    key, values = orjson.dumps(request.key), orjson.dumps({"config": {"token": request.key, **CONFIG}, "siteApps": []})
    place = b"window._POSTHOG_REMOTE_CONFIG"
    return Reply(status=200, body=b"%s=%s||{};%s[%s]=%s;" % (place, place, place, key, values), headers=(SCRIPT,))


async def capture(value: Any, request: DialectContext) -> Reply:
    """Version 1: valid events are accepted even if others of the batch are not."""
    items = object_of(value).get(BATCH)
    if not isinstance(items, list):
        raise ApiError("missing_field", "batch must be an array of events", BATCH)
    check_count(items, request.most, BATCH)
    sent_at = _header(request, SENT_AT) or value.get("created_at")
    sdk = _header(request, SDK) or ""

    def parse_item(item: Any) -> RawEvent:
        return event_of(_as_before(item, sdk), sent_at)

    answer = await request.take(Parsed(items=each(items, parse_item), atomic=False, label=BATCH))
    results = {}
    for item, became in zip(items, answer.items, strict=True):
        uuid = item.get("uuid") if isinstance(item, dict) else None
        if isinstance(uuid, str):
            results[uuid] = _result(became)
    return _json({"results": results})


def _as_before(item: Any, sdk: str) -> Any:
    """An event of version 1 in the form of version 0: options and sessions are properties there."""
    if not isinstance(item, dict):
        return item
    sent, options = item.get("properties"), item.get("options")
    properties = dict(sent) if isinstance(sent, dict) else {}
    for names, place in ((_OPTIONS, options), (_FIELDS, item)):
        if isinstance(place, dict):
            properties |= {ours: place[name] for name, ours in names.items() if place.get(name) is not None}
    library, _, version = sdk.partition("/")
    if library:
        properties = {"$lib": library, "$lib_version": version, **properties}
    rest = {name: field for name, field in item.items() if name != "options" and name not in _FIELDS}
    return {**rest, "properties": properties}


def _result(became: Any) -> dict[str, str]:
    if not isinstance(became, ApiError):
        return {"result": "ok"}
    kind = "retry" if became.status in _TEMPORARY else "drop"
    return {"result": kind, "details": f"{became.param}: {became.message}" if became.param else became.message}


def _header(request: DialectContext, name: bytes) -> str | None:
    value = request.headers.get(name)
    return None if value is None else value.decode("latin-1")[:256]


def _json(value: Any) -> Reply:
    return Reply(status=200, body=orjson.dumps(value), headers=(JSON,))


IN_QUERY, IN_BODY = Credentials(in_query=KEYS), Credentials(in_query=KEYS, in_body=KEYS)
IN_PATH = Credentials(in_query=KEYS, in_path="key")


def _operation(path: str, handler: Handler, credentials: Credentials = IN_QUERY, **more: Any) -> CallOperation:
    return CallOperation(
        source="posthog",
        path=path,
        handler=handler,
        refuse=posthog.refuse,
        credentials=credentials,
        lenient=True,
        **more,
    )


OPERATIONS = (
    *(
        _operation(path, flags, IN_BODY, read=read, methods=("GET", "POST"))
        for name in ("decide", "flags")
        for path in both(name)
    ),
    *(_operation(path, config, IN_PATH, read=nothing, methods=("GET",)) for path in both("array/{key}/config")),
    _operation("/array/{key}/config.js", config_script, IN_PATH, read=nothing, methods=("GET",)),
    *(_operation(path, capture, read=read, batch_label=BATCH) for path in both("i/v1/analytics/events")),
)
