"""The body of `POST /v1/receivers` in, the record of an endpoint out, and how the API shows it; pure."""

from typing import Any

from ingest.receivers import NAMES, sendgrid, ses
from schemas import ids
from schemas.api.request_schemas import RECEIVER
from schemas.control.control_state import Receiver
from schemas.errors import ApiError
from schemas.limits import MAX_CONSENT, MAX_RECEIVER_SECRET

_FIELDS = frozenset(RECEIVER)


def new_receiver(value: Any, workspace: str, environment: str, now_ms: int) -> Receiver:
    """Raises ``ApiError`` with the field's name."""
    if not isinstance(value, dict):
        raise ApiError("invalid_type", "the body must be a JSON object")
    if not value.keys() <= _FIELDS:
        name = min(value.keys() - _FIELDS)
        raise ApiError("unknown_field", f"unknown field {name}", name)
    provider = value.get("provider")
    if provider is None:
        raise ApiError("missing_field", "provider is needed", "provider")
    if provider not in NAMES:
        raise ApiError("invalid_field", f"provider must be one of {', '.join(sorted(NAMES))}", "provider")
    topic_arn = _text(value, "topic_arn")
    if topic_arn and provider != ses.PROVIDER:
        raise ApiError("invalid_field", "only ses has a topic", "topic_arn")
    if provider == ses.PROVIDER:
        _check_topic(topic_arn)
    return Receiver(
        id=ids.new_id("rcv_", now_ms),
        workspace=workspace,
        environment=environment,
        provider=provider,
        secret=_secret(value, provider),
        topic_arn=topic_arn,
        consent=_consent(value),
        created_ms=now_ms,
    )


def _check_topic(topic_arn: str) -> None:
    """Without a topic every AWS account could sign for the endpoint."""
    form = "arn:aws:sns:<region>:<account>:<name>"
    if not topic_arn:
        raise ApiError("missing_field", f"ses needs the ARN of its SNS topic, {form}", "topic_arn")
    if not ses.TOPIC_ARN.fullmatch(topic_arn):
        raise ApiError("invalid_field", f"topic_arn must be {form}", "topic_arn")


def _consent(value: dict[str, Any]) -> str:
    found = value.get("consent")
    if found is None:
        return ""
    if not isinstance(found, str) or not found.strip() or len(found) > MAX_CONSENT:
        raise ApiError("invalid_field", f"consent must be 1 to {MAX_CONSENT} characters", "consent")
    return found


def _secret(value: dict[str, Any], provider: str) -> str:
    wanted, other = "signing_secret", "public_key"
    if provider == sendgrid.PROVIDER:
        wanted, other = other, wanted
    secret = _text(value, wanted)
    if value.get(other) is not None:
        raise ApiError("invalid_field", f"{provider} verifies with {wanted}", other)
    if not secret and provider != ses.PROVIDER:
        raise ApiError("missing_field", f"{wanted} is needed", wanted)
    if provider == sendgrid.PROVIDER:
        sendgrid.public_key(secret)
    return secret


def _text(value: dict[str, Any], name: str) -> str:
    found = value.get(name)
    if found is None:
        return ""
    if not isinstance(found, str) or not found.strip() or len(found) > MAX_RECEIVER_SECRET:
        raise ApiError("invalid_field", f"{name} must be 1 to {MAX_RECEIVER_SECRET} characters", name)
    return found.strip()
