"""Headers and a parsed body in, the headers with the API key that the body or any of its items carries out; pure."""

from typing import Any

from ingest.http.json_recovery import NotJson


def with_key(headers: dict[bytes, bytes], value: Any, names: tuple[str, ...]) -> dict[bytes, bytes]:
    """The headers as if the key in the body, or in one of its items, stood there; raises ``ApiError``."""
    key: str | None = None
    if isinstance(value, NotJson):
        key = value.text_field(names)
        if key is None:
            raise value.refusal()  # nothing more is spent on a body without a key
    else:
        key = _key_in(value, names)
        if key is None:
            items = value if isinstance(value, list) else _batch_of(value)
            key = next((found for item in items if (found := _key_in(item, names)) is not None), None)
    return headers if key is None else {**headers, b"authorization": b"Bearer " + key.encode("utf-8", "surrogatepass")}


def _batch_of(value: Any) -> list[Any]:
    items = value.get("batch") if isinstance(value, dict) else None
    return items if isinstance(items, list) else []


def _key_in(value: Any, names: tuple[str, ...]) -> str | None:
    if not isinstance(value, dict):
        return None
    for place in (value, value.get("properties")):
        if isinstance(place, dict):
            for name in names:
                if isinstance(place.get(name), str):
                    return str(place[name])
    return None
