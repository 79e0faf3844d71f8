"""Request bodies of the native API in, checked records out: each body is a model that the API's description is made of.

A value that is wrong is refused by the path of its field; a field that the model does not know is refused too.
"""

from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    ValidationError,
    WithJsonSchema,
)

from schemas.api.json_schema import Schema, or_empty, ref
from schemas.errors import ApiError
from schemas.limits import DELIVERIES, EVENTS, KEPT_DAYS, MAX_CONSENT, MAX_RECEIVER_SECRET, MAX_SPLIT
from schemas.records import identity

Text = str | int | None
"""An identifier: numbers mean their digits."""
Time = str | int | float | None
Origin = Annotated[str, Field(pattern=r"^(\*|https?://[^\s/,]{1,255})$")]
Slug = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
Name = Annotated[str, Field(min_length=1, max_length=200, pattern=r"\S")]
MAX_LIMIT = 1000
"""Most identifiers that a contact may have: a union costs as much as its members."""


def _has_a_limit(kind: str) -> str:
    if not identity.is_type(kind) or kind == identity.CONTACT_ID or kind in identity.ALIASES:
        raise ValueError("not a type of identifier, custom or total")
    return kind


def _as_object(value: Any) -> Any:
    """PHP writes an empty object as an empty array."""
    return {} if value == [] else value


class _OrEmpty:
    """Says so in the description."""

    def __get_pydantic_json_schema__(self, core: Any, handler: GetJsonSchemaHandler) -> Schema:
        return or_empty(handler(core))


AnObject = TypeVar("AnObject")
OrEmpty = Annotated[AnObject, BeforeValidator(_as_object), _OrEmpty()]
LimitOf = Annotated[str, AfterValidator(_has_a_limit)]


class Body(BaseModel):
    """``strict``: a number is no text and 1 is no boolean."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Device(BaseModel):
    """Further fields of a device are kept as they are."""

    model_config = ConfigDict(frozen=True, extra="allow", strict=True)
    device_id: Annotated[str, Field(min_length=1, max_length=256)]


class ContactEdit(Body):
    """Changes of a contact: ``null`` removes an attribute or a consent."""

    external_id: Text = None
    email: Text = None
    phone: Text = None
    anonymous_id: Text = None
    attributes: OrEmpty[Annotated[dict[str, Any], Field(max_length=1000)]] = {}
    consents: OrEmpty[Annotated[dict[str, bool | None], Field(max_length=100)]] = {}
    devices: Annotated[list[Device], Field(max_length=100)] = []
    timestamp: Time = None


class ContactUpsert(ContactEdit):
    """At least one of the identifiers."""

    id: str | None = None
    user_id: Text = None
    environment: str | None = None
    event_id: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    """Of this write: the same id again changes nothing."""


MOST_LISTED = 1000
"""Contacts in one request; over it the answer is 413, as for a batch of events."""


class Listing(Body):
    """Contacts by id or ``type:value``."""

    contacts: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=600)]], Field(min_length=1, max_length=MOST_LISTED)
    ]


class NewKey(Body):
    name: Name
    kind: Literal["secret", "public"] = "secret"
    scopes: list[str] | None = None
    environment: str | None = None
    expires_at: Time = None
    rate_limit: Annotated[int, Field(ge=1, le=1_000_000)] | None = None


class NewEnvironment(Body):
    id: Slug
    kind: Literal["live", "test"] = "live"


class NewWorkspace(Body):
    name: Name
    id: Slug | None = None
    allowed_origins: Annotated[list[Origin], Field(max_length=100)] = ["*"]


class RetentionEdit(Body):
    """``null``: events for ever, deliveries as long as the table keeps them."""

    events_days: Annotated[int, Field(ge=KEPT_DAYS[EVENTS][0], le=KEPT_DAYS[EVENTS][1])] | None = None
    deliveries_days: Annotated[int, Field(ge=KEPT_DAYS[DELIVERIES][0], le=KEPT_DAYS[DELIVERIES][1])] | None = None


class WorkspaceEdit(Body):
    name: Name | None = None
    allowed_origins: Annotated[list[Origin], Field(max_length=100)] | None = None
    limits: dict[LimitOf, Annotated[int, Field(ge=1, le=MAX_LIMIT)] | None] | None = None
    link_devices: bool | None = None
    link_emails: bool | None = None
    link_phones: bool | None = None
    retention: RetentionEdit | None = None


Proof = Annotated[str, Field(min_length=1, max_length=MAX_RECEIVER_SECRET, pattern=r"\S")]


class NewReceiver(Body):
    """An address for a provider's reports; which of the secrets it takes follows from the provider."""

    provider: str
    signing_secret: Proof | None = None
    public_key: Proof | None = None
    topic_arn: Annotated[Proof | None, Field(description="needed for ses: arn:aws:sns:<region>:<account>:<name>")] = (
        None
    )
    consent: Annotated[
        Annotated[str, Field(min_length=1, max_length=MAX_CONSENT, pattern=r"\S")] | None,
        Field(description="the consent that an unsubscribe or complaint withdraws; default: email_ or sms_marketing"),
    ] = None
    environment: str | None = None


class IdentifierBody(Body):
    type: str
    value: str


Identifiers = Annotated[list[IdentifierBody], Field(min_length=1, max_length=MAX_SPLIT)]


class SplitRequest(Body):
    """Exactly one of: events to retract, identifiers that leave the contact, identifiers whose split ends."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1, "maxProperties": 1})
    evidence: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=512)]], Field(min_length=1, max_length=MAX_SPLIT)
    ] = []
    identifiers: Identifiers = []
    lift: Identifiers = []


class SegmentPreview(Body):
    rule: Annotated[Any, WithJsonSchema({"allOf": [ref("Rule")]})]


class GraphQLRequest(Body):
    """As https://graphql.github.io/graphql-over-http has it; other members are ignored."""

    model_config = ConfigDict(extra="ignore")
    query: Annotated[str, Field(pattern=r"\S")]
    variables: dict[str, Any] | None = None
    operation_name: Annotated[str | None, Field(alias="operationName")] = None


Model = TypeVar("Model", bound=Body)
_CODES = {"missing": "missing_field", "extra_forbidden": "unknown_field"}
_REASONS = {"model_type": "must be a JSON object", "dict_type": "must be a JSON object"}
_BLANK = r"String should match pattern '\S'"


def checked(model: type[Model], value: Any) -> Model:
    """Raises ``ApiError``: 400 unless the value is an object, 422 with the path of the first wrong field."""
    if not isinstance(value, dict):
        raise ApiError("invalid_type", "the body must be a JSON object")
    try:
        return model.model_validate(value)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_context=False, include_input=False)
        # an unknown field is likely the missing one, misspelt
        first = min(problems, key=lambda problem: problem["type"] != "extra_forbidden")
        code = _CODES.get(first["type"], "invalid_field")
        path = _path(first["loc"], value)
        reason = _REASONS.get(first["type"]) or first["msg"].removeprefix("Value error, ")
        reason = "must not be blank" if reason == _BLANK else reason
        message = {"missing_field": f"{path} is needed", "unknown_field": f"{path} is not a field of this body"}.get(
            code, f"{path}: {reason}"
        )
        raise ApiError(code, message, path) from None


def _path(places: tuple[str | int, ...], value: Any) -> str:
    """As far as the places are some in the value; behind them pydantic names the branches of a union."""
    path = ""
    for place in places:
        if isinstance(value, dict):
            path += f".{place}" if path else str(place)
            value = value.get(place)
        elif isinstance(value, list) and isinstance(place, int):
            path += f"[{place}]"
            value = value[place]
        else:
            break
    return path[:200]
