"""Headers, query, path and body of a request in, where the API key stands in them out; pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ingest.http.json_recovery import NotJson
from schemas.control.access import KEY_HEADERS, Principal, key_of
from schemas.control.control_state import ControlState

Headers = dict[bytes, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """The scope that a dialect's operation needs, and the places of its key beside the headers and ``apiKey``."""

    scope: str = "events:ingest"
    in_query: tuple[str, ...] = ()
    """Parameters that may hold the key."""
    in_path: str = ""
    """Name of the path parameter that holds the key; if it is set, keys in the headers are ignored."""
    in_body: tuple[str, ...] = ()
    """Fields of the body, its items or their ``properties`` that may hold the key if headers, query and path do not."""
    by_path: Callable[[ControlState, Mapping[str, str]], Principal] | None = None
    """(control, parts of the path) -> the caller, where the path itself authenticates; may raise ``ApiError``."""

    def locate(self, headers: Headers, query: dict[str, str], scope: Mapping[str, Any]) -> Headers:
        """The headers to authenticate by; a key of the query or the path goes to ``query["apiKey"]``."""
        for name in self.in_query:
            if name in query:
                query.setdefault("apiKey", query[name])
        if self.in_path:
            query["apiKey"] = scope["path_params"][self.in_path]
            return {name: value for name, value in headers.items() if name not in KEY_HEADERS}
        return headers

    def are_in_body(self, headers: Headers, query: Mapping[str, str]) -> bool:
        """Whether the body has to be decoded before the caller is known."""
        return bool(self.in_body) and key_of(headers, query) is None

    def from_body(self, headers: Headers, value: Any) -> Headers:
        """The headers with the key that the body or one of its items carries; raises ``ApiError``."""
        key: str | None = None
        if isinstance(value, NotJson):
            key = value.text_field(self.in_body)
            if key is None:
                raise value.refusal()  # nothing more is spent on a body without a key
        else:
            key = _key_in(value, self.in_body)
            if key is None:
                items = value if isinstance(value, list) else _batch_of(value)
                keys = (_key_in(item, self.in_body) for item in items)
                key = next((key for key in keys if key is not None), None)
        if key is None:
            return headers
        return {**headers, b"authorization": b"Bearer " + key.encode("utf-8", "surrogatepass")}


IN_HEADERS = Credentials()


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
