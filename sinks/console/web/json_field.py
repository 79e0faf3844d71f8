"""The text of a form's field in, its JSON value out; pure."""

from typing import Any

import orjson

from schemas.errors import ApiError


def json_field(text: str, name: str) -> Any:
    """Raises ``ApiError`` with the field's name for other text, and for values that cannot be sent on."""
    try:
        value = orjson.loads(text)
        orjson.dumps([[value]])  # deeper values are read than written, and a body adds levels
    except orjson.JSONDecodeError as error:
        raise ApiError("invalid_json", f"not JSON: {error}", name) from error
    except TypeError as error:
        raise ApiError("invalid_field", "is nested too deeply", name) from error
    return value
