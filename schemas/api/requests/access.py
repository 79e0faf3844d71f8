"""Bodies of keys, environments and workspaces in; checked models out; `body.py` states the form of errors."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from schemas.api.requests.body import Body, Name, Slug, Time
from schemas.limits import DELIVERIES, EVENTS, KEPT_DAYS
from schemas.records import identity

Origin = Annotated[str, Field(pattern=r"^(\*|https?://[^\s/,]{1,255})$")]
MAX_LIMIT = 1000
"""Most identifiers that a contact may have: a union costs as much as its members."""


def _has_a_limit(kind: str) -> str:
    if not identity.is_type(kind) or kind == identity.CONTACT_ID or kind in identity.ALIASES:
        raise ValueError("not a type of identifier, custom or total")
    return kind


LimitOf = Annotated[str, AfterValidator(_has_a_limit)]


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


class TypedColumnEdit(Body):
    type: Literal["string", "number", "boolean", "time"]
