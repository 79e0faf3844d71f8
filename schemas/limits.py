"""Bounds and closed sets of requests, defined once: for the code that checks a request and for its description."""

from schemas.times import DAY_MS, HOUR_MS

MAX_LIMIT, DEFAULT_LIMIT, MAX_PAGE = 100, 20, 1_000_000
"""Of a list's pages."""
JSON, NDJSON, CSV = "json", "ndjson", "csv"
LIST_FORMS = (JSON, NDJSON, CSV)
STEPS = {"minute": 60_000, "hour": HOUR_MS, "day": DAY_MS, "week": 7 * DAY_MS, "month": 28 * DAY_MS}
"""Intervals of a campaign's series, in milliseconds; of a month the shortest."""
SIZE_STEPS = {"minute": 60_000, "hour": HOUR_MS, "day": DAY_MS}
"""Intervals of a segment's size over time, in milliseconds."""
CAMPAIGN_SORTS = ("created_at", "updated_at", "sent_at", "name")
CAMPAIGN_FILTERS = ("status", "channel", "kind")
"""Filters of a campaign that compare for equality."""
MESSAGE_STATES = (
    "requested",
    "sent",
    "delivered",
    "opened",
    "clicked",
    "bounced",
    "complained",
    "unsubscribed",
    "failed",
)
"""States of a message; a machine's open or click does not change them."""
USAGE_DAYS, MOST_USAGE_DAYS = 30, 90
LEDGER_DAYS = 30
"""How far back the ledger is kept."""
EVENTS, DELIVERIES = "events", "deliveries"
KEPT_DAYS = {EVENTS: (LEDGER_DAYS + 5, 3650), DELIVERIES: (8, 90)}
"""For how many days a workspace may have these kept: longer than Kafka does, and events than the ledger looks back."""
LEDGER_MS, MOST_LEDGER_MS, MOST_LEDGER_EVENTS = HOUR_MS, DAY_MS, 20_000_000
"""How much of it is shown where no time is given, and at most."""
SOURCES = (
    *("altacee", "altcraft", "altertable", "parcelvoy", "posthog", "segment"),
    *("mailgun", "postmark", "sendgrid", "ses", "twilio"),
)
"""Where an event can come from: dialects, of which ``altacee`` is the native API, and providers."""

TIMEOUT_MS, DEFAULT_TIMEOUT_MS = (50, 10_000), 2000
"""How long a write may be waited for."""
SYNC_WORDS = ("true", "1", "false", "0")
MOST_CONSENTS = 100
"""Of one call, and of one contact."""
MAX_SPLIT = 200
"""Most events or identifiers that one split names."""
MAX_NAME = 200
MOST_TYPED_COLUMNS = 32
"""Of an environment: each is written into every row that has the property."""
MOST_VALUE_LISTS, MOST_LIST_VALUES = 100, 10_000
"""Named lists of an environment, and values of one."""
MOST_CHANGED_VALUES = 1000
"""Values that one request adds to a named list, or removes."""
MAX_LIST_VALUE, MAX_LIST_BYTES = 256, 1 << 20
"""Bytes of a value's UTF-8, and of all values of a list as JSON: one record of Kafka holds it."""
MAX_DESCRIPTION = 500
MAX_QUARANTINE_IDS = 100
"""Records that a request to replay or discard names."""
QUARANTINE_STATES = ("open", "replayed", "discarded")
LIVE_STATES = ("ok", "warned", "duplicate", "refused", "quarantined")
"""States of a row in the live view."""
GAPS = ("behind", "busy")
"""Why a program may miss rows: it began or came back too late, or more comes than is looked at."""
MOST_LIVE_S = 86_400
"""Of a stream of its rows for a program."""
MAX_TYPES, MAX_TYPE = 100, 200
"""Of a webhook."""
SECRET_PREFIX = "whsec_"  # noqa: S105 - no secret
"""Of every webhook secret that is made here."""
SECRET_LENGTHS = (6, 256)
MAX_RECEIVER_SECRET = 2048
MAX_CONSENT = 256
EVENT_IDENTIFIERS = ("contact_id", "user_id", "external_id", "email", "phone", "anonymous_id", "device_id")
NOTIFICATIONS = (
    "contact.created",
    "contact.updated",
    "contact.merged",
    "contact.unsubscribed",
    "segment.entered",
    "segment.left",
)
"""Types of webhooks' messages that are no event's."""
