"""Query parameters in, validated values and lists in their two shapes out; errors name the parameter; pure.

A list is read by ``page`` (``{"data","next_cursor","meta":{"total","page","limit"}}``) or by ``cursor``
(``{"data","next_cursor"}``, an empty cursor being the beginning); a cursor is opaque to the client and says after which
row to go on. ``next_cursor`` is ``null`` at the end.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

import orjson

from schemas.api.answers.fields import Page
from schemas.errors import ApiError
from schemas.limits import DEFAULT_LIMIT, MAX_LIMIT, MAX_PAGE
from schemas.records import identity
from schemas.times import parse_time

QueryParameters = Mapping[str, str]
T = TypeVar("T")
Identified = TypeVar("Identified", bound=Mapping[str, object])
"""A row with an ``id``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Paging:
    limit: int
    page: int
    after: list[Any] | None
    """The cursor's values, empty at the beginning; ``None``: read by page."""

    @property
    def offset(self) -> int:
        return 0 if self.after is not None else (self.page - 1) * self.limit

    @property
    def fetch_limit(self) -> int:
        """Rows to ask for: by cursor one more, which tells whether there is a next page."""
        return self.limit + (self.after is not None)

    def cursor_of(self, *types: type) -> list[Any] | None:
        """The cursor's values, ``None`` at the beginning; raises ``ApiError`` where they are not of these types."""
        if not self.after:
            return None
        if [type(v) for v in self.after] != list(types):
            raise ApiError("invalid_field", "cursor belongs to another list", "cursor")
        return self.after


class Placed(NamedTuple, Generic[T]):
    """A row as the API shows it, with what a cursor behind it says."""

    at_ms: int
    id: str
    shape: T


def paging_of(query: QueryParameters) -> Paging:
    limit = _number(query, "limit", DEFAULT_LIMIT, MAX_LIMIT)
    if "cursor" not in query:
        return Paging(limit=limit, page=_number(query, "page", 1, MAX_PAGE), after=None)
    if "page" in query:
        raise ApiError("invalid_field", "give either page or cursor", "page")
    return Paging(limit=limit, page=1, after=cursor_values(query["cursor"]))


def after_cursor(rows: Sequence[T], paging: Paging, id_of: Callable[[T], str]) -> list[T]:
    """Rows after the cursor's row: all without a cursor, none if that row is gone."""
    last = paging.cursor_of(str)
    if last is None:
        return list(rows)
    return list(rows[next((n + 1 for n, row in enumerate(rows) if id_of(row) == last[0]), len(rows)) :])


def listing(paging: Paging, rows: Sequence[T], total: int, places: Sequence[Sequence[Any]]) -> Page[T]:
    """``rows`` are ``paging.fetch_limit`` of them at most; ``places`` are what a cursor behind each row says."""
    shown = list(rows[: paging.limit])
    is_by_page = paging.after is None
    more = paging.offset + len(shown) < total if is_by_page else len(rows) > paging.limit
    following = cursor_at(places[len(shown) - 1]) if more and shown else None
    page: Page[T] = {"data": shown, "next_cursor": following}
    if is_by_page:
        page["meta"] = {"total": total, "page": paging.page, "limit": paging.limit}
    return page


def cursor_at(place: Sequence[Any]) -> str:
    """The cursor of the rows behind this place."""
    return urlsafe_b64encode(orjson.dumps(list(place))).rstrip(b"=").decode()


def list_page(paging: Paging, rows: Sequence[Identified]) -> Page[Identified]:
    """A list that is in memory as a whole; a cursor behind a row is its id."""
    total = len(rows)
    last = paging.cursor_of(str)
    if last is not None:
        at = next((n + 1 for n, row in enumerate(rows) if row["id"] == last[0]), total)
        rows = rows[at:]
    shown = rows[paging.offset : paging.offset + paging.fetch_limit]
    return listing(paging, shown, total, [[row["id"]] for row in shown])


def identifier(query: QueryParameters, kind: str) -> str | None:
    """An identifier to filter by, normalised."""
    value = query.get(kind)
    if value is None:
        return None
    if kind == identity.PHONE:
        value = value[:1] + value[1:].replace("+", " ")  # spaces that were sent as plus signs
    normal = identity.normalise(kind, value)
    if normal is None:
        raise ApiError("invalid_field", f"{kind} identifies nobody", kind)
    return normal


def time_ms(query: QueryParameters, name: str) -> int | None:
    text = query.get(name)
    if text is None:
        return None
    value: Any = int(text) if text.isascii() and text.isdigit() and len(text) < 16 else text
    # a plus sign that was not encoded comes as a space
    ms = parse_time(value.replace(" ", "+") if isinstance(value, str) and "T" in value else value)
    if ms is None:
        raise ApiError("invalid_field", f"{name} must be ISO 8601, or unix seconds or milliseconds", name)
    return ms


def _number(query: QueryParameters, name: str, default: int, most: int) -> int:
    text = query.get(name)
    if text is None:
        return default
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:9]) <= most or len(text) > 9:
        raise ApiError("invalid_field", f"{name} must be a number from 1 to {most}", name)
    return int(text)


def cursor_values(text: str) -> list[Any]:
    """The values in a cursor, none for the first page; raises ``ApiError`` (422)."""
    if not text:
        return []
    try:
        value = orjson.loads(urlsafe_b64decode(text.encode() + b"=" * (-len(text) % 4)))
    except ValueError:
        value = None
    if not isinstance(value, list) or not value:
        raise ApiError("invalid_field", "cursor is not valid", "cursor")
    return value
