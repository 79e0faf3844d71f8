"""Changes of consents in; columns of `consent_changes` out; pure.

Such a ``Change.profile`` is ``{"consent", "value", "key"}``: the value is given, withdrawn, or ``null`` where its
record was removed; the key is the event's (``schemas.records.sameness``).
"""

import orjson

from schemas.records.records import Change
from sinks.clickhouse.rows import Columns, Table, UnusableError

_STATES = {b"true": "given", b"false": "withdrawn", b"null": "removed"}


def _columns(changes: list[Change]) -> Columns:
    names = ("workspace", "environment", "contact_id", "event_id", "at_ms")
    columns: Columns = [[c[name] for c in changes] for name in names]  # type: ignore[literal-required]
    changed = [_consent_of(c) for c in changes]
    return [*columns, *([row[n] for row in changed] for n in range(3))]


def _consent_of(change: Change) -> tuple[str, str, str]:
    try:
        profile = orjson.loads(change.get("profile") or b"{}")
        consent, state = profile["consent"], _STATES[orjson.dumps(profile["value"])]
    except (ValueError, TypeError, KeyError) as error:
        raise UnusableError(f"no consent: {error!r}") from error
    if not isinstance(consent, str):
        raise UnusableError("a consent's name is no text")
    return consent, state, str(profile.get("key", ""))


CONSENT_CHANGES = Table(
    name="consent_changes",
    columns=("workspace", "environment", "contact_id", "event_id", "at", "consent", "state", "_event"),
    columns_of=_columns,
)
