"""An erasure's id in, where it stands out; a contact in, every own contact id that is erased with it, out."""

from typing import Any

from schemas import erasure, identity
from schemas.control import ControlState
from schemas.errors import Refused
from sinks.query import contacts
from sinks.query.home import Home
from sinks.query.reader import Reader


async def known(reader: Reader, home: Home, text: str) -> dict[str, Any]:
    """Raises ``Refused`` (404)."""
    row = await contacts.required(reader, home, text)
    ids = {row["contact_id"], *await contacts.losers_of(reader, home, row["contact_id"])}
    ids |= {
        identity.contact_id(home.workspace, home.environment, one["type"], one["value"]) for one in row["identifiers"]
    }
    return {"ids": sorted(ids)}


def shown(control: ControlState, home: Home, erasure_id: str, partitions: int, now_ms: int) -> dict[str, Any]:
    """Raises ``Refused`` (404)."""
    found = control.erasures.get(erasure_id) or control.open_erasures.get(erasure_id)
    if found is None or (found.workspace, found.environment) != (home.workspace, home.environment):
        raise Refused("not_found", "no such erasure")
    return erasure.shape(found, control.erasure_steps[found.id].values(), partitions, now_ms)
