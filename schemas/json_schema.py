"""Types of fields in, JSON Schemas out: the few words that shapes and parameters are written in; pure."""

from typing import Any

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
TIME: Schema = {"type": "string", "format": "date-time"}
ZONE: Schema = {"type": "string", "default": "UTC", "description": "A time zone, such as Europe/Berlin."}
COUNT: Schema = {"type": "integer", "minimum": 0}
ANYTHING: Schema = {}
OBJECT: Schema = {"type": "object"}


def or_empty(schema: Schema) -> Schema:
    """An object, an empty one in PHP's words too."""
    return {"anyOf": [schema, {"type": "array", "maxItems": 0, "description": "an empty object, as PHP writes it"}]}


def maybe(schema: Schema) -> Schema:
    """That or ``null``."""
    return {"anyOf": [schema, {"type": "null"}]}


def many(schema: Schema, least: int | None = None, most: int | None = None) -> Schema:
    bounds = {"minItems": least, "maxItems": most}
    return {"type": "array", "items": schema, **{name: n for name, n in bounds.items() if n is not None}}


def mapping(schema: Schema) -> Schema:
    return {"type": "object", "additionalProperties": schema}


def text(least: int, most: int) -> Schema:
    return {"type": "string", "minLength": least, "maxLength": most}


def whole(least: int, most: int, default: int | None = None) -> Schema:
    schema = {"type": "integer", "minimum": least, "maximum": most}
    return schema if default is None else {**schema, "default": default}


def one_of(*words: str) -> Schema:
    return {"type": "string", "enum": list(words)}


def record(fields: dict[str, Schema], optional: dict[str, Schema] | None = None) -> Schema:
    """An object with all of ``fields``, possibly some of ``optional``, and no others."""
    return {
        "type": "object",
        "properties": {**fields, **(optional or {})},
        "required": list(fields),
        "additionalProperties": False,
    }


def ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def listed(name: str) -> Schema:
    """A list, with its total where it is read by page."""
    meta = record({"total": COUNT, "page": COUNT, "limit": COUNT})
    return record({"data": many(ref(name)), "next_cursor": maybe(TEXT)}, {"meta": meta})
