"""Bounds and closed sets of requests, defined once: for the code that checks a request and for its description."""

from schemas.times import DAY_MS, HOUR_MS

MAX_LIMIT, DEFAULT_LIMIT, MAX_PAGE = 100, 20, 1_000_000
"""The largest page of a list, the default size, and the last page number."""
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
"""Fewest and most days that a workspace may keep them: longer than Kafka does; events longer than the ledger."""
LEDGER_MS, MOST_LEDGER_MS, MOST_LEDGER_EVENTS = HOUR_MS, DAY_MS, 20_000_000
"""The ledger's default span, its longest span, and its most events."""
SOURCES = (
    *("altacee", "altcraft", "altertable", "parcelvoy", "posthog", "segment"),
    *("mailgun", "postmark", "sendgrid", "ses", "twilio"),
)
"""Sources of events: dialects (``altacee`` is the native API) and providers."""

TIMEOUT_MS, DEFAULT_TIMEOUT_MS = (50, 10_000), 2000
"""The range and the default of ``timeout_ms``, for which a request waits at most."""
SYNC_WORDS = ("true", "1", "false", "0")
MOST_CONSENTS = 100
"""The most consents of a call, and of a contact."""
MAX_SPLIT = 200
"""Most events or identifiers that one split names."""
MAX_NAME = 200
MOST_TYPED_COLUMNS = 32
"""The most typed columns of an environment: each is written into every row with the property."""
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
"""The longest live stream for a program, in seconds."""
MAX_TYPES, MAX_TYPE = 100, 200
"""The most types of a webhook, and the longest name of a type."""
SECRET_PREFIX = "whsec_"  # noqa: S105 - no secret
"""Prefix of the webhook secrets that Headwater makes."""
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
"""Types of webhook messages that do not report an event."""
