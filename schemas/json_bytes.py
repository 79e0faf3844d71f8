"""A JSON value that a client sent in, its bytes out, if it can be written; pure."""

from typing import Any

import orjson

from schemas.errors import ApiError


def json_bytes(value: Any, name: str, option: int | None = None) -> bytes:
    """Raises ``ApiError`` (422) for a value of more than 254 levels: orjson reads 1,024 of them and writes no more."""
    try:
        return orjson.dumps(value, option=option)
    except TypeError as error:
        raise ApiError("invalid_field", f"{name} is nested too deeply", name) from error
