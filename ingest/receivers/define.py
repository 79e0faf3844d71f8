"""The body of `POST /v1/receivers` in, the record of an endpoint out, and how the API shows it; pure."""

from typing import Any

from ingest.receivers import NAMES, sendgrid, ses
from schemas import ids
from schemas.api.requests.body import checked
from schemas.api.requests.receivers import NewReceiver
from schemas.control.control_state import Receiver
from schemas.errors import ApiError


def new_receiver(value: Any, workspace: str, environment: str, now_ms: int) -> Receiver:
    """Raises ``ApiError`` with the field's name."""
    body = checked(NewReceiver, value)
    provider = body.provider
    if provider not in NAMES:
        raise ApiError("invalid_field", f"provider must be one of {', '.join(sorted(NAMES))}", "provider")
    topic_arn = (body.topic_arn or "").strip()
    if topic_arn and provider != ses.PROVIDER:
        raise ApiError("invalid_field", "only ses has a topic", "topic_arn")
    if provider == ses.PROVIDER:
        _check_topic(topic_arn)
    return Receiver(
        id=ids.new_id("rcv_", now_ms),
        workspace=workspace,
        environment=environment,
        provider=provider,
        secret=_secret(body),
        topic_arn=topic_arn,
        consent=body.consent or "",
        created_ms=now_ms,
    )


def _check_topic(topic_arn: str) -> None:
    """Without a topic every AWS account could sign for the endpoint."""
    form = "arn:aws:sns:<region>:<account>:<name>"
    if not topic_arn:
        raise ApiError("missing_field", f"ses needs the ARN of its SNS topic, {form}", "topic_arn")
    if not ses.TOPIC_ARN.fullmatch(topic_arn):
        raise ApiError("invalid_field", f"topic_arn must be {form}", "topic_arn")


def _secret(body: NewReceiver) -> str:
    """The secret that the provider's reports are verified with; SES may have none."""
    provider, fields = body.provider, {"signing_secret": body.signing_secret, "public_key": body.public_key}
    name, other = "signing_secret", "public_key"
    if provider == sendgrid.PROVIDER:
        name, other = other, name
    if fields[other] is not None:
        raise ApiError("invalid_field", f"{provider} verifies with {name}", other)
    secret = (fields[name] or "").strip()
    if not secret and provider != ses.PROVIDER:
        raise ApiError("missing_field", f"{name} is needed", name)
    if provider == sendgrid.PROVIDER:
        sendgrid.public_key(secret)
    return secret
