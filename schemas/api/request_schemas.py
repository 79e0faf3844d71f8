"""JSON Schemas of the bodies that are validated by hand, made of the constants that validate them; pure.

Models of ``schemas.api.requests`` describe themselves; these bodies have no model: events, because they are
many, rules, because they nest, and the bodies whose refusals say more than a model could.
"""

from schemas.api.json_schema import (
    ANYTHING,
    FLAG,
    OBJECT,
    TEXT,
    Schema,
    many,
    mapping,
    maybe,
    one_of,
    or_empty,
    record,
    ref,
    text,
)
from schemas.api.requests import MOST_LISTED
from schemas.control.definitions import SEGMENT_KINDS
from schemas.control.url_policy import MAX_URL
from schemas.limits import (
    EVENT_IDENTIFIERS,
    MAX_NAME,
    MAX_QUARANTINE_IDS,
    MAX_TYPE,
    MAX_TYPES,
    MOST_CONSENTS,
    SECRET_LENGTHS,
)
from schemas.rules.operands import MAX_TEXT, OPERANDS, TEXT_OPS
from schemas.rules.parse import ANNIVERSARY, FIELDS, MAX_STEPS
from schemas.rules.parse_parts import COUNT_OPS, MAX_COUNT, MAX_WHERE
from schemas.times import DURATION

_ID = maybe({"type": ["string", "integer"]})
_TIME = maybe({"type": ["string", "number"], "description": "ISO 8601, or unix seconds or milliseconds"})

EVENT: dict[str, Schema] = {
    "type": {"type": "string", "minLength": 1, "maxLength": 256},
    **dict.fromkeys(EVENT_IDENTIFIERS, _ID),
    "timestamp": _TIME,
    "properties": maybe(or_empty(OBJECT)),
    "context": maybe(or_empty(OBJECT)),
    "consents": maybe(or_empty({**mapping(maybe({"type": "boolean"})), "maxProperties": MOST_CONSENTS})),
    **dict.fromkeys(("message_id", "event_id", "campaign_id", "variant", "channel"), maybe(text(0, 256))),
    "environment": maybe(TEXT),
}
"""Fields of an event; ``type`` is needed, and one of the identifiers."""

SEGMENT: dict[str, Schema] = {
    "name": {**text(1, MAX_NAME), "pattern": r"\S"},
    "rule": ref("Rule"),
    "include_existing": {
        "type": "boolean",
        "description": "whether webhooks are told segment.entered of contacts that meet the new rule already; false",
    },
}
_URL = {"type": "string", "minLength": 1, "maxLength": MAX_URL, "pattern": "^[hH][tT][tT][pP][sS]?://"}
_TYPES = {
    **many({**text(1, MAX_TYPE), "description": "a name, group.* or *"}, 1, MAX_TYPES),
    "description": "the event types that it receives",
}
_SEGMENTS: Schema = {
    "type": "array",
    "items": TEXT,
    "maxItems": MAX_TYPES,
    "description": "ids of the segments of which it receives segment.*; of all if empty",
}
_SECRET = maybe({**text(*SECRET_LENGTHS), "description": "printable ASCII; generated if omitted"})
WEBHOOK: dict[str, Schema] = {"url": _URL, "types": _TYPES, "segments": _SEGMENTS, "secret": _SECRET}
WEBHOOK_EDIT: dict[str, Schema] = {
    "url": _URL,
    "types": _TYPES,
    "segments": _SEGMENTS,
    "status": one_of("enabled", "disabled"),
}
ROTATION: dict[str, Schema] = {"secret": _SECRET}
WEBHOOK_TEST: dict[str, Schema] = {
    "type": {**text(1, MAX_TYPE), "description": "of the message, without *; the webhook's first type unless said"}
}
_WHEN: Schema = {"type": ["string", "number"]}
_TRIED: Schema = {**_WHEN, "description": "when its last attempt was"}
RETRY_FILTER: dict[str, Schema] = {
    "type": text(0, MAX_TYPE),
    "status": {**one_of("failed", "pending"), "description": "how its last attempt ended; failed unless said"},
    **dict.fromkeys(("since", "until"), _TRIED),
}
RETRY: dict[str, Schema] = {"filter": record({}, RETRY_FILTER)}
_SINCE: Schema = {**_WHEN, "description": "when it came into quarantine"}
QUARANTINE_FILTER: dict[str, Schema] = {
    "ids": many(TEXT, 0, MAX_QUARANTINE_IDS),
    "reason": text(0, MAX_NAME),
    "topic": text(0, MAX_NAME),
    **dict.fromkeys(("since", "until"), _SINCE),
}
QUARANTINE_JOB: dict[str, Schema] = {"filter": record({}, QUARANTINE_FILTER), "dry_run": FLAG}

_PATH = text(1, MAX_TEXT)
_OPERATOR = one_of(*OPERANDS)
_DURATION: Schema = {"type": "string", "pattern": f"^{DURATION}$", "examples": ["30d"]}
_STEP: dict[str, Schema] = {
    "event": text(1, MAX_TEXT),
    "where": many(record({"property": _PATH, "op": _OPERATOR}, {"value": ANYTHING}), 0, MAX_WHERE),
}
_BY: Schema = {**one_of("person", "machine"), "description": "of message.opened and message.clicked"}
_STEP_COUNT = record({"op": one_of("gte"), "value": {"type": "integer", "minimum": 1, "maximum": MAX_COUNT}})
_PLAIN = {"by": _BY, "where": _STEP["where"]}
_WINDOWED = record({"event": _STEP["event"]}, {**_PLAIN, "within": _DURATION, "count": _STEP_COUNT})
_ZONE_NAME: Schema = {**TEXT, "examples": ["Europe/Berlin"]}
_ZONE: Schema = {
    "anyOf": [_ZONE_NAME, record({"attribute": _PATH}, {"default": _ZONE_NAME})],
    "description": "the time zone of times and days that name none; UTC if left out",
}
_COUNT = record({"op": one_of(*COUNT_OPS), "value": {"type": "number", "minimum": 0, "maximum": MAX_COUNT}})
_TOTAL = record({"property": _PATH, "op": one_of(*COUNT_OPS), "value": {"type": "number"}})
_RULES = many(ref("Rule"), 1)
_PARTS: dict[str, Schema] = {
    "all": _RULES,
    "any": _RULES,
    "not": ref("Rule"),
    "attribute": _PATH,
    "identifier": text(1, MAX_TEXT),
    "by": _BY,
    "event": _STEP["event"],
    "where": _STEP["where"],
    "count": _COUNT,
    "sum": _TOTAL,
    "max": _TOTAL,
    "min": _TOTAL,
    "within": _DURATION,
    "between": many({"type": "string", "format": "date-time"}, 2, 2),
    "sequence": many(_WINDOWED, 2, MAX_STEPS),
    "absent": record({"event": _STEP["event"]}, _PLAIN),
    "after": _WINDOWED,
    "for": _DURATION,
    "segment": text(1, MAX_TEXT),
    "consent": text(1, MAX_TEXT),
    "identified": {"type": "boolean"},
}
_NEEDED = {"attribute": ("op",), "identifier": ("op",), "absent": ("after", "for")}
_OTHERS: dict[str, dict[str, Schema]] = {
    "attribute": {"op": one_of(*OPERANDS, ANNIVERSARY), "value": ANYTHING},
    "identifier": {"op": one_of(*TEXT_OPS), "value": ANYTHING},
    "consent": {"value": {"type": "boolean"}},
}


def _form(form: str) -> Schema:
    beside = {name: _OTHERS.get(form, {}).get(name) or _PARTS.get(name, ANYTHING) for name in FIELDS[form]}
    needed = {name: beside.pop(name) for name in _NEEDED.get(form, ())}
    return record({form: _PARTS[form], **needed}, {**beside, "tz": _ZONE})


RULE: Schema = {
    "anyOf": [_form(form) for form in FIELDS],
    "description": "one form and its optional fields",
    "examples": [{"event": "order_completed", "count": {"op": "gte", "value": 3}, "within": "30d"}],
}

BODIES: dict[str, Schema] = {
    "Rule": RULE,
    "Event": {
        **record({"type": EVENT["type"]}, {name: one for name, one in EVENT.items() if name != "type"}),
        "description": f"with at least one of {', '.join(EVENT_IDENTIFIERS)}",
        "examples": [{"type": "order_completed", "user_id": "u1", "properties": {"total": 149.0}}],
    },
    "NewSegment": record(
        {"name": SEGMENT["name"]},
        {**{n: one for n, one in SEGMENT.items() if n != "name"}, "kind": one_of(*SEGMENT_KINDS)},
    ),
    "SegmentEdit": record({}, {**SEGMENT, "kind": one_of(*SEGMENT_KINDS)}),
    "NewWebhook": record({"url": _URL, "types": _TYPES}, {"segments": _SEGMENTS, "secret": _SECRET}),
    "WebhookEdit": record({}, WEBHOOK_EDIT),
    "SecretRotation": record({}, ROTATION),
    "WebhookTest": record({}, WEBHOOK_TEST),
    "RetryRequest": record(RETRY),
    "QuarantineRequest": record({"filter": QUARANTINE_JOB["filter"]}, {"dry_run": FLAG}),
}
BODIES["ContactBatch"] = {
    "anyOf": [
        record({"contacts": many(ref("ContactUpsert"), 1, MOST_LISTED)}),
        many(ref("ContactUpsert"), 1, MOST_LISTED),
    ],
    "examples": [{"contacts": [{"external_id": "u1", "attributes": {"plan": "pro"}}]}],
}
BODIES["EventBatch"] = {
    "anyOf": [record({"events": many(ref("Event"), 1)}), many(ref("Event"), 1)],
}
