"""The control state in; named lists, their values, and the segments that use them, in the API's shape, out."""

from collections.abc import Iterable

from schemas.api.answers.fields import Page
from schemas.api.answers.lists import ListedValueShape, ValueListShape
from schemas.control.control_state import ControlState
from schemas.control.definitions import Segment, ValueList
from schemas.control.list_users import users_by_list, users_of
from schemas.control.lookup import require
from schemas.control.value_lists import place_of
from schemas.errors import ApiError
from schemas.times import iso
from sinks.read_api.request.paging import Paging, after_cursor, listing
from sinks.read_api.request.tenant import Tenant


def lists_of(control: ControlState, tenant: Tenant, paging: Paging, partitions: int) -> Page[ValueListShape]:
    """Returns a page of lists by name; looks up only the page's lists in rules."""
    records = sorted(control.value_lists[tenant.place].values(), key=lambda record: record.name)
    total = len(records)
    rows = after_cursor(records, paging, lambda record: record.name)
    shown = rows[paging.offset : paging.offset + paging.fetch_limit]
    users = users_by_list(control.segments[tenant.place])
    shapes = [_shape(control, record, users.get(record.name, ()), partitions) for record in shown]
    return listing(paging, shapes, total, [[record.name] for record in shown])


def list_named(control: ControlState, tenant: Tenant, name: str) -> ValueList:
    """Returns a list; raises ``ApiError`` (404)."""
    return require(control.value_lists[tenant.place], name, "list")


def shape(control: ControlState, record: ValueList, partitions: int) -> ValueListShape:
    """Returns the shape without the values, which may be many."""
    users = users_of(record.name, control.segments[record.workspace, record.environment])
    return _shape(control, record, users, partitions)


def _shape(control: ControlState, record: ValueList, users: Iterable[Segment], partitions: int) -> ValueListShape:
    return {
        "name": record.name,
        "description": record.description,
        "size": len(record.values),
        "version": record.version,
        "segments": [
            {"id": segment.id, "name": segment.name, "status": control.standing(segment, partitions)[0]}
            for segment in users
        ],
        "created_at": iso(record.created_ms),
        "updated_at": iso(record.updated_ms),
    }


def values_of(record: ValueList, paging: Paging) -> Page[ListedValueShape]:
    """Returns a page of values; a cursor resumes behind its value, even if the list has lost that value."""
    values = record.values
    if paging.after:
        last = paging.after[0]
        if len(paging.after) != 1 or not isinstance(last, str | int | float):
            raise ApiError("invalid_field", "cursor belongs to another list", "cursor")
        values = tuple(value for value in values if place_of(value) > place_of(last))
    shown = values[paging.offset : paging.offset + paging.fetch_limit]
    rows: list[ListedValueShape] = [{"value": value} for value in shown]
    return listing(paging, rows, len(record.values), [[value] for value in shown])
