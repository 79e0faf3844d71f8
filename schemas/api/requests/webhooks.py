"""Bodies that define, edit, rotate, test and retry webhooks in; checked models out.

`ingest/control/webhooks.py` checks values beyond the body: the URL's host, and the existence of segments.
"""

from base64 import b64decode
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from schemas.api.requests.body import Absent, Body, Instant
from schemas.control.url_policy import MAX_URL
from schemas.limits import MAX_TYPE, MAX_TYPES, NOTIFICATIONS, SECRET_LENGTHS, SECRET_PREFIX


def _is_type(pattern: str) -> str:
    if not pattern.strip():
        raise ValueError("must not be blank")
    group = pattern.removesuffix(".*")
    if ("*" in group and pattern != "*") or not group:
        raise ValueError("a type is a name, group.* or *")
    family = pattern.partition(".")[0] + "."
    own = sorted(name for name in NOTIFICATIONS if name.startswith(family))
    if own and pattern not in own and pattern != f"{family}*":
        raise ValueError(f"no such type; of {family}* there are {', '.join(own)}")
    return pattern


def _is_one_type(name: str) -> str:
    if "*" in name:
        raise ValueError("one type, without *")
    return name


def _is_secret(secret: str) -> str:
    if not secret.isascii() or not secret.isprintable() or " " in secret:
        raise ValueError("must be printable ASCII without spaces")
    if secret.startswith(SECRET_PREFIX) and not _is_base64(secret.removeprefix(SECRET_PREFIX)):
        raise ValueError(f"the part after {SECRET_PREFIX} must be base64")
    return secret


def _is_base64(text: str) -> bool:
    try:
        return bool(b64decode(text + "=" * (-len(text) % 4), validate=True))
    except ValueError:
        return False


Url = Annotated[
    str, Field(min_length=1, max_length=MAX_URL, json_schema_extra={"pattern": "^[hH][tT][tT][pP][sS]?://"})
]
TypePattern = Annotated[
    str,
    Field(min_length=1, max_length=MAX_TYPE, description="a name, group.* or *"),
    AfterValidator(_is_type),
]
TypePatterns = Annotated[
    list[TypePattern], Field(min_length=1, max_length=MAX_TYPES, description="the event types that it receives")
]
SegmentIds = Annotated[
    list[str],
    Field(max_length=MAX_TYPES, description="ids of the segments of which it receives segment.*; of all if empty"),
]
SecretText = Annotated[
    str,
    Field(min_length=SECRET_LENGTHS[0], max_length=SECRET_LENGTHS[1]),
    AfterValidator(_is_secret),
]
NewSecret = Annotated[SecretText | None, Field(description="printable ASCII; generated if omitted")]


class NewWebhook(Body):
    url: Url
    types: TypePatterns
    segments: SegmentIds = []
    secret: NewSecret = None


class WebhookEdit(Body):
    """Fields that are absent stay as they are."""

    url: Annotated[Url, Absent]
    types: Annotated[TypePatterns, Absent]
    segments: Annotated[SegmentIds, Absent]
    status: Annotated[Literal["enabled", "disabled"], Absent]


class SecretRotation(Body):
    secret: NewSecret = None


class WebhookTest(Body):
    type: Annotated[
        Annotated[TypePattern, AfterValidator(_is_one_type)] | None,
        Field(description="of the message, without *; by default the webhook's first type"),
    ] = None


Tried = Annotated[Instant, Field(description="when its last attempt was")]


class RetryFilter(Body):
    """Which deliveries; a filter without fields takes all that failed."""

    type: Annotated[str, Field(max_length=MAX_TYPE)] = ""
    status: Annotated[Literal["failed", "pending"], Field(description="how its last attempt ended")] = "failed"
    since: Annotated[Tried, Absent]
    until: Annotated[Tried, Absent]


class RetryRequest(Body):
    filter: Annotated[RetryFilter, Field(description="{} takes all that failed")]
