"""The answers to requests that define, test and retry webhooks, and that define receivers, out, as types; pure."""

from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from schemas.api.answers.fields import Count, Moment, closed, words
from schemas.records.deliveries import FAILED, REASONS, SUCCEEDED


@closed
class WebhookShape(TypedDict):
    id: str
    url: str
    types: list[str]
    segments: list[str]
    status: Literal["enabled", "disabled"]
    reason: str | None
    created_at: Moment
    updated_at: Moment


@closed
class WebhookWrittenShape(WebhookShape):
    secret: NotRequired[str]


class _WebhookId(TypedDict):
    webhook_id: str


class EndpointState(TypedDict):
    """The state of an endpoint's circuit, from its last attempts."""

    circuit: Annotated[
        Literal["closed", "limited", "open"],
        Field(
            description="limited: the last attempt failed, so few run at a time; open: none but a probe now and then"
        ),
    ]
    failures_in_a_row: Count
    probe_at: Annotated[Moment | None, Field(description="of an open circuit: not before then")]
    attempts: Annotated[Count, Field(description="of the last day, the newest 100 at most; the figures are of these")]
    succeeded: Count
    median_ms: Count | None
    last_success_at: Moment | None


@closed
class WebhookConditionShape(_WebhookId, EndpointState):
    pass


@closed
class WebhookHealthShape(TypedDict):
    data: list[WebhookConditionShape]


@closed
class DeliveryAttemptShape(TypedDict):
    id: str
    delivery_id: str
    event_id: str
    type: str
    status: str
    contact_id: str | None
    attempt: Count
    response_code: Count | None
    error: str | None
    duration_ms: Count
    at: Moment
    next_attempt_at: Moment | None


@closed
class SentRequest(TypedDict):
    url: str
    headers: dict[str, Any]
    body: str


@closed
class ReceivedResponse(TypedDict):
    body: str


@closed
class DeliveryDetailShape(DeliveryAttemptShape):
    request: SentRequest
    response: ReceivedResponse


@closed
class WebhookTestedShape(TypedDict):
    webhook_id: str
    event_id: str
    type: str
    status: Annotated[str, words(SUCCEEDED, FAILED)]
    response_code: Count | None
    duration_ms: Count
    reason: Annotated[str, words(*REASONS)] | None
    error: str | None
    request: SentRequest
    response: ReceivedResponse


@closed
class RetriesAcceptedShape(TypedDict):
    webhook_id: str
    retried: Count
    more: bool


@closed
class RetryAcceptedShape(TypedDict):
    delivery_id: str
    webhook_id: str
    status: str


@closed
class ReceiverShape(TypedDict):
    id: str
    provider: str
    path: str
    consent: str
    created_at: Moment


@closed
class ReceiverMadeShape(TypedDict):
    id: str
    url: str
    provider: str
    environment: str
    consent: str
    created_at: Moment


@closed
class ReceivedShape(TypedDict):
    accepted: Count
