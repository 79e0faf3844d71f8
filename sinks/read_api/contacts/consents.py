"""A contact in; all changes of its consents, newest first, out."""

from schemas.api.answers.contacts import ContactConsentShape
from schemas.api.answers.fields import Page
from schemas.times import iso
from sinks.read_api.contacts.contacts import losers_of, required
from sinks.read_api.request.client import ClickHouseReader
from sinks.read_api.request.paging import Paging, listing
from sinks.read_api.request.tenant import Tenant

# a repeated state is no change
_PAGE = """
SELECT *, count() OVER () AS total FROM
(
    SELECT consent, state, event_id, _event, toUnixTimestamp64Milli(at) AS at_ms,
        lagInFrame(toNullable(state)) OVER
        (
            PARTITION BY consent ORDER BY at, event_id, _event
            ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        ) AS before
    FROM
    (
        SELECT consent, state, event_id, _event, at FROM consent_changes
        WHERE workspace = {workspace:String} AND environment = {environment:String}
            AND contact_id IN {ids:Array(String)}
        LIMIT 1 BY consent, event_id, _event
    )
)
WHERE (before IS NULL OR before != state)
    AND (at_ms, event_id, consent, _event) < ({before_ms:Int64}, {id:String}, {name:String}, {event:String})
ORDER BY at_ms DESC, event_id DESC, consent DESC, _event DESC
LIMIT {limit:UInt32} OFFSET {offset:UInt64}
"""
_VALUES = {"given": True, "withdrawn": False, "removed": None}
LATEST = 9_000_000_000_000_000


async def consents(reader: ClickHouseReader, tenant: Tenant, text: str, paging: Paging) -> Page[ContactConsentShape]:
    """Returns a page of changes; raises ``ApiError`` (404)."""
    contact_id = (await required(reader, tenant, text))["contact_id"]
    before_ms, before_id, name, event = paging.cursor_of(int, str, str, str) or (LATEST, "", "", "")
    rows = await reader.rows(
        _PAGE,
        **tenant.parameters,
        ids=[contact_id, *await losers_of(reader, tenant, contact_id)],
        before_ms=before_ms,
        id=before_id,
        name=name,
        event=event,
        limit=paging.fetch_limit,
        offset=paging.offset,
    )
    shown: list[ContactConsentShape] = [
        {
            "consent": row["consent"],
            "value": _VALUES[row["state"]],
            "at": iso(row["at_ms"]),
            "event_id": row["event_id"],
        }
        for row in rows
    ]
    total = rows[0]["total"] if rows else 0
    return listing(
        paging, shown, total, [tuple(row[name] for name in ("at_ms", "event_id", "consent", "_event")) for row in rows]
    )
