"""JSON Schemas of all answers of the API; the handlers' values must match them.

`tests/e2e/test_described_api.py` holds real answers against them, so a field that is added there and not here fails.
"""

from schemas.api.campaign_routes import CAMPAIGN_SHAPES
from schemas.api.operation_shapes import LIVE_SHAPES, OPERATION_SHAPES, TRIAL_SHAPES
from schemas.api.operation_shapes import PROBLEM as _PROBLEM
from schemas.api.quarantine_routes import QUARANTINE_SHAPES
from schemas.control.definitions import SCOPES, SEGMENT_KINDS
from schemas.json_schema import (
    ANYTHING,
    COUNT,
    FLAG,
    NUMBER,
    OBJECT,
    TEXT,
    TIME,
    Schema,
    many,
    mapping,
    maybe,
    one_of,
    record,
    ref,
)
from schemas.warning import PATTERN

_WARNINGS = {"warnings": many({**TEXT, "pattern": PATTERN})}
_PAIR = record({"type": TEXT, "value": TEXT})
_SEPARATED = record({"a": _PAIR, "b": _PAIR, "at": TIME})
"""An identifier of the contact, one that a split keeps from it, and since when."""
_IDS = record({"entered": many(TEXT), "left": many(TEXT)})
_TEXTS = ("campaign_id", "message_id", "variant", "channel", "source")
_TASK = {"task_id": TEXT}

_RESULT: Schema = {
    "anyOf": [
        record({"index": COUNT, "event_id": TEXT, "contact_id": TEXT}, _WARNINGS),
        record({"index": COUNT, "error": _PROBLEM}),
    ]
}
_CONTACT_RESULT: Schema = {
    "anyOf": [record({"index": COUNT, "id": TEXT}, _WARNINGS), record({"index": COUNT, "error": _PROBLEM})]
}
_CONTACTS: dict[str, Schema] = {"accepted": COUNT, "rejected": COUNT, "results": many(_CONTACT_RESULT)}
_BATCH: dict[str, Schema] = {"accepted": COUNT, "rejected": COUNT, "results": many(_RESULT)}

_EVENT: dict[str, Schema] = {
    **dict.fromkeys(("event_id", "type"), TEXT),
    **dict.fromkeys(("timestamp", "received_at"), TIME),
    "properties": OBJECT,
    "context": maybe(OBJECT),
    **dict.fromkeys(_TEXTS, maybe(TEXT)),
    "identifiers": many(ANYTHING),
}
_SEGMENT: dict[str, Schema] = {
    "id": TEXT,
    "name": TEXT,
    "kind": one_of(*SEGMENT_KINDS),
    "rule": maybe(ref("Rule")),
    "version": COUNT,
}
_CONTACT: dict[str, Schema] = {
    "id": TEXT,
    **dict.fromkeys(("email", "phone", "external_id"), maybe(TEXT)),
    "anonymous_ids": many(TEXT),
    "attributes": OBJECT,
    "consents": mapping(maybe(FLAG)),
    "devices": ANYTHING,
    "segments": many(TEXT),
    "created_at": TIME,
    "updated_at": TIME,
}
_KEY: dict[str, Schema] = {
    "id": TEXT,
    "name": TEXT,
    "kind": one_of("secret", "public"),
    "scopes": many(one_of(*SCOPES)),
    "environment": TEXT,
    "rate_limit": maybe(COUNT),
    "created_at": TIME,
    "expires_at": maybe(TIME),
    "last_used_at": maybe(TIME),
}
_ENVIRONMENT = record({"id": TEXT, "number": COUNT, "kind": one_of("live", "test"), "created_at": TIME})
_WORKSPACE: dict[str, Schema] = {
    "id": TEXT,
    "name": TEXT,
    "allowed_origins": many(TEXT),
    "limits": mapping(COUNT),
    "link_devices": FLAG,
    "link_emails": FLAG,
    "link_phones": FLAG,
    "retention": record({"events_days": maybe(COUNT), "deliveries_days": maybe(COUNT)}),
    "created_at": TIME,
}
_WEBHOOK: dict[str, Schema] = {
    "id": TEXT,
    "url": TEXT,
    "types": many(TEXT),
    "segments": many(TEXT),
    "status": one_of("enabled", "disabled"),
    "reason": maybe(TEXT),
    "created_at": TIME,
    "updated_at": TIME,
}
_SHARES = many(record({"name": TEXT, "share": NUMBER}))
SHAPES: dict[str, Schema] = {
    "Error": record({"error": _PROBLEM}),
    "Health": record(
        {"status": one_of("live", "ready", "degraded", "unavailable")},
        {"events": FLAG, "reads": FLAG, "components": mapping(record({"state": TEXT}, {"reason": TEXT}))},
    ),
    "EventAccepted": record(
        {"event_id": TEXT, "contact_id": TEXT, "received_at": TIME}, {**_WARNINGS, **_TASK, "segment_changes": _IDS}
    ),
    "BatchAccepted": record(_BATCH, {**_TASK, "segment_changes": _IDS}),
    "BatchRefused": {"anyOf": [record({**_BATCH, "error": _PROBLEM}), ref("Error")]},
    "Task": record(
        {
            "task_id": TEXT,
            "status": one_of("pending", "completed", "failed"),
            "progress": record({"total": COUNT, "done": COUNT}),
            "events": many(record({"event_id": TEXT, "disposition": TEXT, "reason": maybe(TEXT)})),
        }
    ),
    "Contact": record(_CONTACT),
    "ContactWritten": record(_CONTACT, {**_WARNINGS, "segment_changes": _IDS}),
    "ContactsTaken": record({**_CONTACTS, **_TASK}, {"segment_changes": _IDS}),
    "ContactsRefused": {"anyOf": [record({**_CONTACTS, "error": _PROBLEM}), ref("Error")]},
    "ContactLater": record({"task_id": TEXT, "id": TEXT}),
    "ContactEvent": record({**_EVENT, "contact_id": TEXT}),
    "StoredEvent": record({**_EVENT, "contact_id": maybe(TEXT), **_WARNINGS}),
    "EventType": record({"type": TEXT, "events": COUNT, "first_seen": TIME, "last_seen": TIME, "properties": _SHARES}),
    "ContactSegment": record({"id": TEXT, "since": TIME, "version": COUNT, "name": TEXT}),
    "ContactConsent": record({"consent": TEXT, "value": maybe(FLAG), "at": TIME, "event_id": TEXT}),
    "Erasure": record(
        {
            "id": TEXT,
            "status": one_of("pending", "done"),
            "created_at": TIME,
            "stores": many(
                record({"store": TEXT, "status": one_of("pending", "expiring", "done"), "at": maybe(TIME)}),
            ),
        }
    ),
    "ContactIdentity": record(
        {
            "contact_id": TEXT,
            "identifiers": many(
                record(
                    {
                        "type": TEXT,
                        "value": TEXT,
                        "since": TIME,
                        "evidence": many(
                            record({"event_id": TEXT, "kind": TEXT, "at": TIME, "with": maybe(_PAIR)}),
                        ),
                    }
                )
            ),
            "merges": many(record({"from": TEXT, "into": TEXT, "at": TIME, "event_id": TEXT})),
            "refused": many(record({"type": TEXT, "value": TEXT, "reason": TEXT, "event_id": TEXT, "at": TIME})),
            "separated": many(_SEPARATED),
        }
    ),
    "ContactTies": record(
        {
            "contact_id": TEXT,
            "members": many(TEXT),
            "settled": FLAG,
            "ties": many(record({"event_id": TEXT, "a": _PAIR, "b": _PAIR})),
            "separated": many(_SEPARATED),
        }
    ),
    "Listed": record({"id": TEXT, "contacts": COUNT, "unknown": many(TEXT)}, {"task_id": TEXT}),
    "SplitDone": record({"contacts": many(TEXT)}),
    "Segment": record(
        {
            **_SEGMENT,
            "status": one_of("live", "backfilling", "disabled"),
            "progress": record({"contacts_done": COUNT, "contacts_total": COUNT}),
            "contacts": COUNT,
            **dict.fromkeys(("fresh_as_of", "created_at", "updated_at"), TIME),
        },
        {"reason": TEXT, **_WARNINGS},
    ),
    "Explanation": record(
        {
            "member": FLAG,
            "since": maybe(TIME),
            "version": COUNT,
            "leaves": many(
                record(
                    {"path": TEXT, "met": FLAG, "value": ANYTHING, "threshold": ANYTHING, "events": many(TEXT)},
                    {"truncated": FLAG},
                )
            ),
            "changes_at": maybe(TIME),
        }
    ),
    "Preview": record({"contacts": COUNT, "sample": many(TEXT)}, _WARNINGS),
    "Parity": record(
        {
            "checked_at": maybe(TIME),
            **dict.fromkeys(("rounds", "compared", "differences"), COUNT),
            "latest": many(OBJECT),
        }
    ),
    **CAMPAIGN_SHAPES,
    "Webhook": record(_WEBHOOK),
    "WebhookWritten": record(_WEBHOOK, {"secret": TEXT}),
    "Receiver": record({"id": TEXT, "provider": TEXT, "path": TEXT, "consent": TEXT, "created_at": TIME}),
    "ReceiverMade": record(
        {"id": TEXT, "url": TEXT, "provider": TEXT, "environment": TEXT, "consent": TEXT, "created_at": TIME}
    ),
    "Received": record({"accepted": COUNT}),
    "Key": record(_KEY),
    "KeyMade": record({**_KEY, "key": TEXT}),
    "Environment": _ENVIRONMENT,
    **TRIAL_SHAPES,
    "Workspace": record(_WORKSPACE),
    "WorkspaceMade": record({**_WORKSPACE, "environments": many(_ENVIRONMENT), "key": ref("KeyMade")}),
    **OPERATION_SHAPES,
    **LIVE_SHAPES,
    **QUARANTINE_SHAPES,
    "Document": {"type": "object", "required": ["openapi", "paths"]},
    "GraphQLAnswer": {"type": "object", "properties": {"data": maybe(OBJECT), "errors": many(OBJECT)}},
}
