"""A code and a sentence in, a warning of an answer out: ``code: sentence``; pure.

Programs group by the code; the sentence may name places and times, and may change.
"""

CODES = frozenset(
    {
        "event_id_conflict",
        "ignored_identifier",
        "ignored_attribute",
        "ignored_sent_at",
        "future_timestamp",
        "old_timestamp",
        "unreadable_timestamp",
        "link_refused",
        "older_than_known",
        "never_seen",
        "unknown_campaign",
        "unknown_variant",
    }
)
STORED_AS = "_warnings"
"""The field of a stored event's context that holds its warnings."""
PATTERN = r"^[a-z_]+: "


def warning(code: str, text: str) -> str:
    if code not in CODES:
        raise ValueError(f"{code} is no warning's code")
    return f"{code}: {text}"
