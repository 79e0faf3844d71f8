"""A static segment's id in; the attribute that marks its members, which clients neither set nor see, out; pure.

So a static segment is an ordinary rule: merges, splits, backfills and explanations treat it like any attribute.
"""

from typing import Any, Final

import orjson

PREFIX: Final = "$list:"
_MARK: Final = orjson.dumps(PREFIX)[:-1].decode()


def attribute_of(segment_id: str) -> str:
    return PREFIX + segment_id


def rule_of(segment_id: str) -> dict[str, Any]:
    """The rule that the list's contacts meet."""
    return {"attribute": attribute_of(segment_id), "op": "eq", "value": True}


def is_list(name: str) -> bool:
    """Whether the attribute marks members of a static segment."""
    return name.startswith(PREFIX)


def without(attributes: dict[str, Any]) -> dict[str, Any]:
    """Returns the attributes that clients see: all but those of static segments."""
    return {name: value for name, value in attributes.items() if not is_list(name)}


def shown(text: str) -> Any:
    """Removes the same attributes from JSON text; parses the text only if it contains one of them."""
    return without(orjson.loads(text)) if _MARK in text else orjson.Fragment(text)
