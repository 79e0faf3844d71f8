"""A tenant in; its typed columns by name, and whether all stored events have them, out."""

from schemas.api import serialize
from schemas.api.answers.events import TypedColumnShape
from schemas.api.answers.fields import Page
from schemas.control.control_state import ControlState, TypedColumn
from schemas.control.lookup import require
from sinks.read_api.request.client import ClickHouseReader
from sinks.read_api.request.paging import Paging, after_cursor, listing
from sinks.read_api.request.tenant import Tenant

_FILLED = """
SELECT property, toString(type) AS kind, toUnixTimestamp64Milli(created_at) AS created_ms,
       toUnixTimestamp64Milli(filled_at) AS filled_ms
FROM typed_columns FINAL
WHERE workspace = {workspace:String} AND environment = {environment:String} AND NOT deleted
"""


async def typed_columns(
    reader: ClickHouseReader, control: ControlState, tenant: Tenant, paging: Paging
) -> Page[TypedColumnShape]:
    here = control.typed_columns.get(tenant.place, {})
    columns = [here[name] for name in sorted(here)]
    following = after_cursor(columns, paging, lambda column: column.property)[paging.offset :]
    shown = await _shown(reader, tenant, following[: paging.fetch_limit])
    return listing(paging, shown, len(columns), [[column.property] for column in following])


async def typed_column(reader: ClickHouseReader, control: ControlState, tenant: Tenant, name: str) -> TypedColumnShape:
    """Returns a typed column; raises ``ApiError`` (404)."""
    column = require(control.typed_columns.get(tenant.place, {}), name, "typed column")
    return (await _shown(reader, tenant, [column]))[0]


async def _shown(reader: ClickHouseReader, tenant: Tenant, columns: list[TypedColumn]) -> list[TypedColumnShape]:
    rows = await reader.rows(_FILLED, **tenant.parameters)
    filled = {(row["property"], row["kind"], row["created_ms"]): row["filled_ms"] for row in rows}
    return [
        serialize.typed_column(column, filled.get((column.property, column.type, column.created_ms)))
        for column in columns
    ]
