"""JSON Schemas of events, rules and batches, made of the constants that their parsers check with; pure.

All other bodies are models of ``schemas.api.requests``. These have none: an event passes the fastest path, a rule
nests, and a batch is read item by item.
"""

from schemas.api.requests.contacts import MOST_LISTED
from schemas.json_schema import (
    ANYTHING,
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
from schemas.limits import (
    EVENT_IDENTIFIERS,
    MOST_CONSENTS,
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

_PATH = text(1, MAX_TEXT)
_OPERATOR = one_of(*OPERANDS)
_VALUE: Schema = {"description": 'of in and not_in values, as ["a", "b"], or the name of a list, as {"list": "a"}'}
_DURATION: Schema = {"type": "string", "pattern": f"^{DURATION}$", "examples": ["30d"]}
_STEP: dict[str, Schema] = {
    "event": text(1, MAX_TEXT),
    "where": many(record({"property": _PATH, "op": _OPERATOR}, {"value": _VALUE}), 0, MAX_WHERE),
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
    "attribute": {"op": one_of(*OPERANDS, ANNIVERSARY), "value": _VALUE},
    "identifier": {"op": one_of(*TEXT_OPS), "value": _VALUE},
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
        **record({"type": EVENT["type"]}, {name: schema for name, schema in EVENT.items() if name != "type"}),
        "description": f"with at least one of {', '.join(EVENT_IDENTIFIERS)}",
        "examples": [{"type": "order_completed", "user_id": "u1", "properties": {"total": 149.0}}],
    },
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
