"""Bodies of requests about named lists in; checked records for `control`, within one record's size, out; pure."""

from collections.abc import Mapping
from typing import Any

from schemas.api.requests.body import checked
from schemas.api.requests.lists import ListChange, ListReplacement, NewValueList
from schemas.control.definitions import Segment, ValueList
from schemas.control.list_users import lists_of, users_of
from schemas.control.value_lists import check_size, checked_values, ordered, place_of
from schemas.errors import ApiError
from schemas.limits import MOST_CHANGED_VALUES, MOST_LIST_VALUES, MOST_VALUE_LISTS
from schemas.rules.nodes import Scalar
from schemas.rules.rule_tree import normalised

Lists = Mapping[str, ValueList]
Segments = Mapping[str, Segment]


def id_of(environment: str, name: str) -> str:
    """Returns the record's id: a name is unique in an environment."""
    return f"{environment}/{name}"


def new_of(body: Any) -> NewValueList:
    """Returns a new list's fields; raises ``ApiError`` (422) for a body that no state could make right."""
    _check_count(body, MOST_LIST_VALUES)
    return checked(NewValueList, body)


def replacement_of(body: Any) -> ListReplacement:
    """Returns a replacement; raises ``ApiError`` (422) as ``new_of`` does."""
    _check_count(body, MOST_LIST_VALUES)
    return checked(ListReplacement, body)


def change_of(body: Any) -> ListChange:
    """Returns values to add or to remove; raises ``ApiError`` (422) as ``new_of`` does."""
    _check_count(body, MOST_CHANGED_VALUES)
    return checked(ListChange, body)


def new_list(
    fields: NewValueList, home: tuple[str, str], existing: Lists, segments: Segments, now_ms: int
) -> ValueList:
    """Returns a new list; raises ``ApiError``: 409 for a used name, 422 with the path of the wrong field."""
    if fields.name in existing:
        raise ApiError("conflict", f"there is a list {fields.name} already: PUT /v1/lists/{fields.name}", "name")
    if len(existing) >= MOST_VALUE_LISTS:
        raise ApiError("conflict", f"an environment has at most {MOST_VALUE_LISTS} lists")
    return ValueList(
        id=id_of(home[1], fields.name),
        workspace=home[0],
        environment=home[1],
        name=fields.name,
        description=fields.description,
        values=_values(fields.name, fields.values, segments),
        version=1,
        created_ms=now_ms,
        updated_ms=now_ms,
    )


def replaced(record: ValueList, fields: ListReplacement, segments: Segments, now_ms: int) -> ValueList:
    """Replaces the values, and the description if the body has one; raises ``ApiError`` (422)."""
    values = _values(record.name, fields.values, segments)
    if fields.description not in (None, record.description):
        record = record.model_copy(update={"description": fields.description, "updated_ms": now_ms})
    return _changed(record, values, now_ms)


def with_values(record: ValueList, fields: ListChange, segments: Segments, now_ms: int) -> ValueList:
    """Adds values; raises ``ApiError`` (422)."""
    added = _values(record.name, fields.values, segments)
    return _changed(record, ordered([*record.values, *added]), now_ms)


def without_values(record: ValueList, fields: ListChange, _segments: Segments, now_ms: int) -> ValueList:
    """Removes values, ignoring absent ones; raises ``ApiError`` (422)."""
    removed = set(map(place_of, checked_values(fields.values, "values")))
    return _changed(record, tuple(value for value in record.values if place_of(value) not in removed), now_ms)


def check_unused(record: ValueList, segments: Segments) -> None:
    """Raises ``ApiError`` (409) if a segment's rule uses the list."""
    users = users_of(record.name, segments)
    if users:
        named = ", ".join(f"{user.id} ({user.name})" for user in users[:5])
        raise ApiError("conflict", f"the rules of segments use it: {named}")


def _check_count(body: Any, most: int) -> None:
    """Checks the number before any value."""
    if isinstance(body, dict) and isinstance(body.get("values"), list) and len(body["values"]) > most:
        raise ApiError("too_many", f"at most {most} values in one request", "values")


def _changed(record: ValueList, values: tuple[Scalar, ...], now_ms: int) -> ValueList:
    """Increments the version only if the values differ."""
    check_size(values, "values")
    if values == record.values:
        return record
    update = {"values": values, "version": record.version + 1, "updated_ms": now_ms}
    # a new record: a copy would keep results cached from the old values
    return ValueList.model_validate(record.model_dump() | update)


def _values(name: str, written: list[Any], segments: Segments) -> tuple[Scalar, ...]:
    values = checked_values(written, "values")
    for user in users_of(name, segments):
        for kind in filter(None, lists_of(user, segments)[name]):
            for index, value in enumerate(values):
                if normalised(kind, value) is None:
                    message = f"identifies no person as {kind}, with which the rule of {user.id} compares the list"
                    raise ApiError("invalid_field", message, f"values[{index}]")
    fit = ordered(values)
    check_size(fit, "values")
    return fit
