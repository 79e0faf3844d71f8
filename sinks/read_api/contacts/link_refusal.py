"""An anonymous identifier and a known one in; whether a stored refusal keeps them apart out."""

from schemas.records import identity
from sinks.read_api.contacts.contacts import find
from sinks.read_api.request.client import ClickHouseReader
from sinks.read_api.request.tenant import Tenant

_REFUSED = """
SELECT DISTINCT type, value FROM refused_links
WHERE workspace = {workspace:String} AND environment = {environment:String} AND contact_id = {id:String}
"""


async def is_refused(reader: ClickHouseReader, tenant: Tenant, anonymous: str, identified: str) -> bool:
    """Whether another external id has the anonymous one, or a guard refused their link; both are own contact ids."""

    def own(kind: str, value: str) -> str:
        return identity.contact_id(tenant.workspace, tenant.environment, kind, value)

    row = await find(reader, tenant, anonymous)
    identifiers = row["identifiers"] if row is not None else []
    owners = {own(i["type"], i["value"]) for i in identifiers if i["type"] == identity.EXTERNAL_ID}
    if owners:
        return identified not in owners
    rows = await reader.rows(_REFUSED, **tenant.parameters, id=anonymous)
    return identified in {own(r["type"], r["value"]) for r in rows}
