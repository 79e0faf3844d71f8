"""The fields of a call in that name its sender, as Parcelvoy and Lunogram write them; identifiers out; pure.

They are ``external_id`` and ``anonymous_id``, in either spelling, and Lunogram's list ``identifier``: of source
``default`` (or none) it is an ``external_id``, of ``anonymous`` an ``anonymous_id``, of another source an identifier of
a type of its own.
"""

import re
from typing import Any

from ingest.events.operation import Identifying
from schemas.errors import ApiError
from schemas.records import identity

IDENTIFIER = "identifier"
SENDER = (("external_id", "external_id"), ("anonymous_id", "anonymous_id"))
SPELLINGS = (*SENDER, ("externalId", "external_id"), ("anonymousId", "anonymous_id"))
_SOURCES = {"default": "external_id", "anonymous": "anonymous_id", "email": "email", "phone": "phone"}
_NO_LETTER = re.compile(r"[^a-z0-9]+")
MOST_IDENTIFIERS = 10


def senders(value: dict[str, Any], place: str = "") -> list[Identifying]:
    """Raises ``ApiError`` if the call has no identifier."""
    identifiers = [(kind, value[name], f"{place}{name}") for name, kind in SPELLINGS if value.get(name) is not None]
    if value.get(IDENTIFIER) is not None:
        identifiers += listed(value, place)
    if not identifiers:
        raise ApiError("missing_field", "external_id, anonymous_id or identifier is needed", f"{place}external_id")
    return identifiers


def listed(value: dict[str, Any], place: str = "") -> list[Identifying]:
    """The identifiers of the list ``identifier``; raises ``ApiError`` for a malformed one."""
    entries, at = value.get(IDENTIFIER), f"{place}{IDENTIFIER}"
    items = [] if entries is None else entries if isinstance(entries, list) else [entries]
    if len(items) > MOST_IDENTIFIERS:
        raise ApiError("invalid_field", f"{at} has more than {MOST_IDENTIFIERS} items", at)
    identifiers: list[Identifying] = []
    for index, item in enumerate(items):
        if not isinstance(item, dict) or item.get("external_id") is None:
            raise ApiError("missing_field", "an identifier is an object with external_id", f"{at}[{index}].external_id")
        identifiers.append(
            (_kind_of(item.get("source"), f"{at}[{index}].source"), item["external_id"], f"{at}[{index}]")
        )
    return identifiers


def _kind_of(source: Any, field: str) -> str:
    """The type of the identifiers that come from a source."""
    if source is None or source == "":
        return identity.EXTERNAL_ID
    kind = _NO_LETTER.sub("_", source.lower()).strip("_") if isinstance(source, str) else ""
    if kind in _SOURCES:
        return _SOURCES[kind]
    if kind in identity.RANKS or kind in identity.ALIASES or not identity.is_type(kind):
        raise ApiError("invalid_field", "source must be default, anonymous or a custom name", field)
    return kind
