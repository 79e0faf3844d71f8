"""Bodies of webhooks in, validated records out; pure."""

from base64 import b64decode, b64encode
from collections.abc import Collection, Mapping
from typing import Any

import orjson

from schemas import ids
from schemas.api.request_schemas import RETRY, RETRY_FILTER, ROTATION, WEBHOOK, WEBHOOK_EDIT, WEBHOOK_TEST
from schemas.control import url_policy
from schemas.control.control_state import Webhook
from schemas.errors import ApiError
from schemas.limits import MAX_TYPE, MAX_TYPES, NOTIFICATIONS, SECRET_LENGTHS, SECRET_PREFIX
from schemas.records.deliveries import FAILED, PENDING, SUCCEEDED, WebhookTestResult
from schemas.times import DAY_MS, parse_time

EXAMPLE = "example"
"""Type of the message that a webhook for all types, or for a group of a client's own, is tried with."""
OVERLAP_MS = DAY_MS
"""How long the secret of before a rotation stays valid."""


def new_webhook(
    value: Any, workspace: str, environment: str, now_ms: int, entropy: bytes, *, known: Collection[str] = ()
) -> Webhook:
    """A definition from a POST body; ``known`` are segments. Raises ``ApiError`` with the name of the wrong field."""
    body = _object(value, WEBHOOK)
    for name in ("url", "types"):
        if name not in body:
            raise ApiError("missing_field", f"{name} is needed", name)
    return Webhook(
        id=ids.new_id("whk_", now_ms),
        workspace=workspace,
        environment=environment,
        url=url_policy.checked_url(body["url"]),
        types=_types(body["types"]),
        segments=_segments(body.get("segments", []), known),
        secret=_secret(body, entropy),
        created_ms=now_ms,
        updated_ms=now_ms,
    )


def edited_webhook(webhook: Webhook, value: Any, now_ms: int, *, known: Collection[str] = ()) -> Webhook:
    """The definition after a PATCH; ``known`` are segments."""
    body = _object(value, WEBHOOK_EDIT)
    news: dict[str, Any] = {"updated_ms": now_ms}
    if "url" in body:
        news["url"] = url_policy.checked_url(body["url"])
    if "types" in body:
        news["types"] = _types(body["types"])
    if "segments" in body:
        news["segments"] = _segments(body["segments"], known)
    if "status" in body:
        if body["status"] not in ("enabled", "disabled"):
            raise ApiError("invalid_field", "status must be enabled or disabled", "status")
        news |= {"status": body["status"], "reason": ""}
    return webhook.model_copy(update=news)


def rotated_webhook(webhook: Webhook, value: Any, now_ms: int, entropy: bytes) -> Webhook:
    """The definition with another secret; the previous secret stays valid for ``OVERLAP_MS``."""
    secret = _secret(_object(value, ROTATION), entropy)
    if secret == webhook.secret:
        raise ApiError("invalid_field", "secret must differ from the current one", "secret")
    return webhook.model_copy(
        update={
            "secret": secret,
            "previous_secret": webhook.secret,
            "previous_until_ms": now_ms + OVERLAP_MS,
            "updated_ms": now_ms,
        }
    )


def tested(webhook: Webhook, kind: str, result: WebhookTestResult) -> dict[str, Any]:
    """The answer to a test of a webhook."""
    request = {
        "url": result["url"],
        "headers": orjson.loads(result["request_headers"]),
        "body": result["request_body"].decode(),
    }
    return {
        "webhook_id": webhook.id,
        "event_id": result["event_id"],
        "type": kind,
        "status": FAILED if result["reason"] else SUCCEEDED,
        "response_code": result["response_code"] or None,
        "duration_ms": result["duration_ms"],
        "reason": result["reason"] or None,
        "error": result["error"] or None,
        "request": request,
        "response": {"body": result["response_body"].decode("utf-8", "replace")},
    }


def retry_filter(value: Any, now_ms: int) -> dict[str, Any]:
    """Which deliveries a POST body asks to try again; raises ``ApiError`` with the name of the wrong field."""
    body = _object(value, RETRY)
    if "filter" not in body:
        raise ApiError("missing_field", "filter is needed; {} takes all that failed", "filter")
    try:
        given = _object(body["filter"], RETRY_FILTER)
    except ApiError as refused:
        raise refused.at("filter") from None
    kind, status = given.get("type", ""), given.get("status", FAILED)
    if not isinstance(kind, str) or len(kind) > MAX_TYPE:
        raise ApiError("invalid_field", f"a type is 1 to {MAX_TYPE} characters", "filter.type")
    if status not in (FAILED, PENDING):
        raise ApiError("invalid_field", f"status must be {FAILED} or {PENDING}", "filter.status")
    times = {name: parse_time(given[name]) if name in given else at for name, at in (("since", 0), ("until", now_ms))}
    for name, ms in times.items():
        if ms is None:
            raise ApiError(
                "invalid_field", f"{name} must be ISO 8601, or unix seconds or milliseconds", f"filter.{name}"
            )
    return {"type": kind, "status": status, "since_ms": times["since"], "until_ms": times["until"]}


def test_type(webhook: Webhook, value: Any) -> str:
    """The type of the message that a POST body asks to try the webhook with; its own first one unless said."""
    kind = _object(value, WEBHOOK_TEST).get("type")
    if kind is not None:
        _check_type(kind, "type")
        if "*" in kind:
            raise ApiError("invalid_field", "one type, without *", "type")
        return str(kind)
    first = webhook.types[0]
    group = first.removesuffix("*")
    if group == first:
        return first
    return next((name for name in NOTIFICATIONS if group and name.startswith(group)), f"{group}{EXAMPLE}")


def _object(value: Any, fields: Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ApiError("invalid_type", "the body must be a JSON object")
    if not value.keys() <= fields.keys():
        name = min(value.keys() - fields.keys())
        raise ApiError("unknown_field", f"unknown field {name[:80]}", name[:80])
    return value


def _types(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_TYPES:
        raise ApiError("invalid_field", f"types must be a list of 1 to {MAX_TYPES} event types", "types")
    for index, one in enumerate(value):
        _check_type(one, f"types[{index}]")
    return tuple(dict.fromkeys(value))


def _check_type(one: Any, place: str) -> None:
    if not isinstance(one, str) or not one.strip() or len(one) > MAX_TYPE:
        raise ApiError("invalid_field", f"a type is 1 to {MAX_TYPE} characters", place)
    if "*" in one and one != "*" and (one.index("*") != len(one) - 1 or not one.endswith(".*") or one == ".*"):
        raise ApiError("invalid_field", "a type is a name, group.* or *", place)
    family = one.partition(".")[0] + "."
    own = sorted(name for name in NOTIFICATIONS if name.startswith(family))
    if own and one not in own and one != f"{family}*":
        raise ApiError("invalid_field", f"no such type; of {family}* there are {', '.join(own)}", place)


def _segments(value: Any, known: Collection[str]) -> tuple[str, ...]:
    if not isinstance(value, list) or len(value) > MAX_TYPES:
        message = f'segments must be a list of at most {MAX_TYPES} ids of segments, as ["seg_..."]'
        raise ApiError("invalid_field", message, "segments")
    for index, one in enumerate(value):
        if not isinstance(one, str) or one not in known:
            message = "no such segment; it is named by its id, as seg_..."
            raise ApiError("invalid_field", message, f"segments[{index}]")
    return tuple(dict.fromkeys(value))


def _secret(body: dict[str, Any], entropy: bytes) -> str:
    value = body.get("secret")
    if value is None:
        return SECRET_PREFIX + b64encode(entropy).decode()
    low, high = SECRET_LENGTHS
    if not isinstance(value, str) or not low <= len(value) <= high:
        raise ApiError("invalid_field", f"secret must be {low} to {high} characters", "secret")
    if not value.isascii() or not value.isprintable() or " " in value:
        raise ApiError("invalid_field", "secret must be printable ASCII without spaces", "secret")
    if value.startswith(SECRET_PREFIX) and not _is_base64(value.removeprefix(SECRET_PREFIX)):
        raise ApiError("invalid_field", f"the part after {SECRET_PREFIX} must be base64", "secret")
    return value


def _is_base64(text: str) -> bool:
    try:
        return bool(b64decode(text + "=" * (-len(text) % 4), validate=True))
    except ValueError:
        return False
