"""The table of all native routes: method, path, scope, parameters, body and answers; pure.

A new route is one line here beside its line in the table that serves it (`ingest/app.py` for writes,
`sinks/read_api/routes.py` for reads). A new body is a model in `requests/` that ``document.MODELS`` names, a new answer
is a type in `answers/` that ``SHAPES`` names. A test compares both tables with this one.
"""

from dataclasses import replace

from schemas.api.campaign_routes import CAMPAIGN_READS, CAMPAIGN_WRITES
from schemas.api.list_routes import LIST_READS, LIST_WRITES
from schemas.api.live_route import LIVE
from schemas.api.quarantine_routes import QUARANTINE_READS, QUARANTINE_WRITES
from schemas.api.route import ANY_KEY, PUBLIC, SYNC, TASK, RouteSpec, get, write
from schemas.api.typed_column_routes import TYPED_READS, TYPED_WRITES
from schemas.api.webhook_routes import WEBHOOK_READS, WEBHOOK_WRITES
from schemas.json_schema import TEXT, TIME, Schema, one_of, whole
from schemas.limits import (
    DEFAULT_LIMIT,
    MAX_LIMIT,
    MOST_USAGE_DAYS,
    SIZE_STEPS,
    SOURCES,
    USAGE_DAYS,
)

_FILTERS: dict[str, Schema] = {
    **dict.fromkeys(("email", "phone", "external_id", "segment_id"), TEXT),
    "updated_since": TIME,
}
_LIMIT = whole(1, MAX_LIMIT, DEFAULT_LIMIT)
_EVENTS: dict[str, Schema] = {"type": TEXT, "from": TIME, "to": TIME}
_LEDGER: dict[str, Schema] = {"from": TIME, "to": TIME, "source": one_of(*SOURCES)}
_SIZES: dict[str, Schema] = {"interval": {**one_of(*SIZE_STEPS), "default": "day"}, "from": TIME, "to": TIME}
_MOVES: dict[str, Schema] = {"change": one_of("entered", "left"), "from": TIME, "to": TIME}
_GRAPH = {400: "GraphQLRefused"}

READS: tuple[RouteSpec, ...] = (
    get("/v1/contacts", "contacts:read", "Contact", "List contacts", _FILTERS, listed=True),
    get("/v1/contacts/{id}", "contacts:read", "Contact", "A contact by id or type:value"),
    get("/v1/contacts/{id}/events", "contacts:read", "ContactEvent", "Events, newest first", _EVENTS, listed=True),
    get("/v1/contacts/{id}/segments", "contacts:read", "ContactSegment", "The segments of a contact", listed=True),
    get("/v1/contacts/{id}/consents", "contacts:read", "ContactConsent", "Changes of its consents", listed=True),
    replace(
        get("/v1/contacts/{id}/export", "contacts:read", "ContactExport", "All stored data of it, a line each"),
        media="application/x-ndjson",
    ),
    get("/v1/contacts/{id}/identity", "contacts:read", "ContactIdentity", "Its identifiers and their evidence"),
    get("/v1/contacts/{id}/split", "contacts:write", "ContactTies", "The evidence that a split can retract"),
    get("/v1/erasures/{id}", "contacts:write", "Erasure", "The progress of an erasure, store by store"),
    get("/v1/events", "contacts:read", "StoredEvent", "All events, by type and id", _EVENTS, listed=True),
    get("/v1/event-types", "contacts:read", "EventType", "The types of events sent, and their properties", listed=True),
    get("/v1/events/{id}", "contacts:read", "StoredEvent", "An event as it is stored, with its warnings"),
    get("/v1/events/{id}/trace", "contacts:read", "EventTrace", "Its way through the pipeline, step by step"),
    LIVE,
    get("/v1/segments", "segments:read", "Segment", "List segments, oldest first", listed=True),
    get("/v1/segments/{id}", "segments:read", "Segment", "A segment with its count"),
    get("/v1/segments/{id}/contacts", "segments:read", "Contact", "The contacts of a segment", listed=True),
    get("/v1/segments/{id}/history", "segments:read", "SegmentHistory", "The size of a segment over time", _SIZES),
    get("/v1/segments/{id}/changes", "segments:read", "SegmentChange", "Entries and exits", _MOVES, listed=True),
    *LIST_READS,
    *CAMPAIGN_READS,
    *TYPED_READS,
    get("/v1/parity", "segments:read", "Parity", "Differences between rules and memberships"),
    get("/v1/receivers", "webhooks:read", "Receiver", "List endpoints for providers", listed=True),
    get("/v1/keys", "admin", "Key", "List keys, without their secrets", listed=True),
    get("/v1/keys/{id}", "admin", "Key", "A key, without its secret"),
    get("/v1/workspaces", "instance", "Workspace", "List all workspaces", listed=True),
    get("/v1/workspaces/{id}", "admin", "Workspace", "The key's workspace"),
    get("/v1/usage", "admin", "Usage", "Events sent and data kept", {"days": whole(1, MOST_USAGE_DAYS, USAGE_DAYS)}),
    get("/v1/ledger", "admin", "Ledger", "Accepted events by minute and their outcomes", _LEDGER),
    get("/v1/environments", "admin", "Environment", "List environments", listed=True),
    replace(
        get(
            "/v1/test/good",
            "contacts:read",
            "TestGood",
            "Accepted events of a test environment since its last reset, newest first",
            {"type": TEXT, "where": TEXT, "limit": _LIMIT},
        ),
        errors={409: "Error"},
    ),
    *WEBHOOK_READS,
    get("/v1/tasks/{id}", "events:ingest", "Task", "The state of a request's events"),
    get("/tasks/{id}", "events:ingest", "Task", "The same, for vendors' SDKs"),
    *QUARANTINE_READS,
    RouteSpec(
        method="GET",
        path="/graphql",
        summary="A query; without one the explorer, if it is enabled",
        scope=ANY_KEY,
        answers={200: "GraphQLAnswer"},
        query={"query": {**TEXT, "minLength": 1}, "variables": TEXT, "operationName": TEXT},
        errors=_GRAPH,
    ),
    write(
        "POST",
        "/v1/segments/preview",
        "segments:read",
        "SegmentPreview",
        {200: "Preview"},
        "The contacts that a rule would match",
    ),
    write(
        "POST",
        "/v1/segments/{id}/explain",
        "segments:read",
        "",
        {200: "Explanation"},
        "Why a contact is in it or not",
        {"contact": TEXT},
    ),
    write("POST", "/graphql", ANY_KEY, "GraphQLRequest", {200: "GraphQLAnswer"}, "A query or mutation", errors=_GRAPH),
    get("/openapi.json", PUBLIC, "Document", "This description"),
    get("/health/live", PUBLIC, "Health", "Whether the process lives"),
    RouteSpec(
        method="GET",
        path="/health/ready",
        summary="Readiness for events and reads; with for=events, for events alone",
        scope=PUBLIC,
        query={"for": one_of("events")},
        answers={200: "Health", 503: "Health"},
    ),
)

_WRITES: tuple[RouteSpec, ...] = (
    write(
        "POST",
        "/v1/events",
        "events:ingest",
        "Event",
        {200: "EventAccepted", 202: "EventAccepted"},
        "Send an event",
    ),
    write(
        "POST",
        "/v1/events/batch",
        "events:ingest",
        "EventBatch",
        {200: "BatchAccepted", 202: "BatchAccepted"},
        "Send events; each is accepted or refused by itself",
        TASK,
        errors={422: "BatchRefused"},
    ),
    write(
        "POST",
        "/v1/contacts",
        "contacts:write",
        "ContactUpsert",
        {200: "ContactWritten", 201: "ContactWritten", 202: "ContactLater"},
        "Create or update a contact",
    ),
    write(
        "POST",
        "/v1/contacts/batch",
        "contacts:write",
        "ContactBatch",
        {200: "ContactsTaken", 202: "ContactsTaken"},
        "Create or update contacts; each is accepted or refused by itself",
        errors={422: "ContactsRefused"},
    ),
    write(
        "PATCH",
        "/v1/contacts/{id:path}",
        "contacts:write",
        "ContactEdit",
        {200: "ContactWritten", 201: "ContactWritten", 202: "ContactLater"},
        "Update a contact",
        errors={409: "Error"},
    ),
    write(
        "DELETE",
        "/v1/contacts/{id:path}",
        "contacts:write",
        "",
        {202: "Erasure", 204: ""},
        "Erase a contact, everywhere and for good",
    ),
    write(
        "POST",
        "/v1/contacts/{id:path}/split",
        "contacts:write",
        "SplitRequest",
        {200: "SplitDone", 202: "SplitDone"},
        "Undo a merge",
    ),
    write("POST", "/v1/segments", "segments:write", "NewSegment", {201: "Segment"}, "Define a segment"),
    write("PATCH", "/v1/segments/{id}", "segments:write", "SegmentEdit", {200: "Segment"}, "Change a segment"),
    write("DELETE", "/v1/segments/{id}", "segments:write", "", {204: ""}, "Remove a segment", errors={409: "Error"}),
    write(
        "POST",
        "/v1/segments/{id}/contacts",
        "segments:write",
        "Listing",
        {200: "Listed", 202: "Listed"},
        "Put contacts on the list of a static segment",
        errors={409: "Error"},
    ),
    write(
        "DELETE",
        "/v1/segments/{id}/contacts",
        "segments:write",
        "Listing",
        {200: "Listed", 202: "Listed"},
        "Take contacts off the list of a static segment",
        errors={409: "Error"},
    ),
    *LIST_WRITES,
    *WEBHOOK_WRITES,
    *QUARANTINE_WRITES,
    write(
        "POST",
        "/v1/receivers",
        "webhooks:write",
        "NewReceiver",
        {201: "ReceiverMade"},
        "Create an endpoint for a provider",
    ),
    write("DELETE", "/v1/receivers/{id}", "webhooks:write", "", {204: ""}, "Remove an endpoint"),
    write(
        "POST",
        "/v1/receivers/{provider}/{id}",
        PUBLIC,
        "ProviderReport",
        {200: "Received"},
        "A provider's status reports, verified by its signature",
        errors={401: "Error"},
    ),
    *CAMPAIGN_WRITES,
    *TYPED_WRITES,
    write("POST", "/v1/keys", "admin", "NewKey", {201: "KeyMade"}, "Create a key; the answer alone shows it"),
    write("DELETE", "/v1/keys/{id}", "admin", "", {204: ""}, "Revoke a key", errors={409: "Error"}),
    write("POST", "/v1/environments", "admin", "NewEnvironment", {201: "Environment"}, "Create an environment"),
    write(
        "POST",
        "/v1/test/reset",
        "contacts:write",
        "",
        {200: "TestReset"},
        "Reset the counts of a test environment",
        errors={409: "Error"},
    ),
    write("POST", "/v1/workspaces", "instance", "NewWorkspace", {201: "WorkspaceMade"}, "Create a workspace"),
    write("PATCH", "/v1/workspaces/{id}", "admin", "WorkspaceEdit", {200: "Workspace"}, "Change the key's workspace"),
)
WRITES = tuple(r if r.scope == PUBLIC else replace(r, query={**SYNC, **r.query}) for r in _WRITES)
"""A write that has been applied when it is answered takes ``sync`` as well, so that a client may always send it."""
_EDGE_READS = (
    get("/v1/test/counts", "contacts:read", "TestCounts", "Counts of accepted events and refused calls"),
    get(
        "/v1/test/bad",
        "contacts:read",
        "TestBad",
        "Refused calls and items of a test environment since its last reset, newest first",
        {"type": TEXT, "limit": _LIMIT},
    ),
)
EDGE_READS = tuple(replace(route, errors={409: "Error"}) for route in _EDGE_READS)
"""Reads that the edge itself answers: it keeps the refused requests."""
ROUTES = (*READS, *WRITES, *EDGE_READS)
