"""Definitions of typed columns in; the SQL of the four columns' values, with names as parameters, out; pure.

The SQL twin of ``schemas.typed.values``, for rows older than their definition.
"""

from collections.abc import Sequence

from schemas.rules.sql_values import JsonColumn, Parameters
from schemas.typed.values import COLUMNS, TIMES_FROM_MS, TIMES_TO_MS, path_of

TYPES = {"string": "String", "number": "Float64", "boolean": "Bool", "time": "DateTime64(3, \\'UTC\\')"}


def _value(place: JsonColumn, kind: str) -> str:
    """Returns the SQL of a value; NULL if the property does not fit its type."""
    match kind:
        case "number":
            return place.number
        case "time":
            ms = f"assumeNotNull({place.time_ms})"
            is_held = f"isNotNull({place.time_ms}) AND {ms} >= {TIMES_FROM_MS} AND {ms} < {TIMES_TO_MS}"
            return f"if({is_held}, fromUnixTimestamp64Milli(toInt64({ms}), 'UTC'), NULL)"
        case "boolean":
            spelt = f"{place.kind} = 'String' AND {place.text}"
            return (
                f"multiIf({place.kind} = 'Bool', toBool({place.boolean}),"
                f" {spelt} = 'true', true, {spelt} = 'false', false, NULL)"
            )
        case _:
            is_text = f"{place.kind} IN ('Bool', 'Int64', 'UInt64')"
            return f"multiIf({place.kind} = 'String', {place.text}, {is_text}, {place.raw}, NULL)"


def columns_of(typed: Sequence[tuple[str, str]], parameters: Parameters) -> dict[str, str]:
    """Returns the SQL of the four columns over `properties`; ``typed`` are names and types in order of the names."""
    columns = {}
    for kind, column in COLUMNS.items():
        pairs = [
            f"{parameters.text(name)}, {_value(JsonColumn('properties', path_of(name), parameters), kind)}"
            for name, type_ in typed
            if type_ == kind
        ]
        given = f"mapFilter((k, v) -> isNotNull(v), map({', '.join(pairs)}))" if pairs else "map()"
        columns[column] = f"CAST({given}, 'Map(LowCardinality(String), Nullable({TYPES[kind]}))')"
    return columns
