"""A static segment's id in; the attribute that marks its members, which clients neither set nor see, out; pure.

So a list is a rule like any other: it merges, is taken apart, is read from rows and is explained as attributes are.
"""

from typing import Any

import orjson

PREFIX = "$list:"
_MARK = orjson.dumps(PREFIX)[:-1].decode()


def attribute_of(segment_id: str) -> str:
    return PREFIX + segment_id


def rule_of(segment_id: str) -> dict[str, Any]:
    """The rule that the list's contacts meet."""
    return {"attribute": attribute_of(segment_id), "op": "eq", "value": True}


def is_list(name: str) -> bool:
    """Whether an attribute says that its contact is on a list."""
    return name.startswith(PREFIX)


def without(attributes: dict[str, Any]) -> dict[str, Any]:
    """Attributes as clients know them."""
    return {name: value for name, value in attributes.items() if not is_list(name)}


def shown(text: str) -> Any:
    """The same of attributes as JSON text, parsed only where there is something to leave out."""
    return without(orjson.loads(text)) if _MARK in text else orjson.Fragment(text)
