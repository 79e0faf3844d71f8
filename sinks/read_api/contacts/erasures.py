"""An erasure's id in; its progress out. A contact in; all own contact ids that are erased with it out."""

from typing import TypedDict

from schemas.api import serialize
from schemas.api.answers.contacts import ErasureShape
from schemas.control.control_state import ControlState
from schemas.errors import ApiError
from schemas.records import identity
from sinks.read_api.contacts import contacts
from sinks.read_api.request.client import ClickHouseReader
from sinks.read_api.request.tenant import Tenant


class ContactIds(TypedDict):
    ids: list[str]


async def ids_of(reader: ClickHouseReader, tenant: Tenant, text: str) -> ContactIds:
    """Returns the own contact ids of a contact; raises ``ApiError`` (404)."""
    row = await contacts.required(reader, tenant, text)
    ids = {row["contact_id"], *await contacts.losers_of(reader, tenant, row["contact_id"])}
    ids |= {
        identity.contact_id(tenant.workspace, tenant.environment, identifier["type"], identifier["value"])
        for identifier in row["identifiers"]
    }
    return {"ids": sorted(ids)}


def shown(control: ControlState, tenant: Tenant, erasure_id: str, partitions: int, now_ms: int) -> ErasureShape:
    """Returns an erasure's progress; raises ``ApiError`` (404)."""
    erasure_record = control.erasures.get(erasure_id) or control.open_erasures.get(erasure_id)
    if erasure_record is None or (erasure_record.workspace, erasure_record.environment) != (
        tenant.workspace,
        tenant.environment,
    ):
        raise ApiError("not_found", "no such erasure")
    steps = control.erasure_steps[erasure_record.id].values()
    return serialize.erasure(erasure_record, steps, partitions, now_ms)
