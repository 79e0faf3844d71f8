"""A page of a list in, a connection out: ``edges { node cursor } pageInfo``.

https://relay.dev/graphql/connections.htm
"""

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

import strawberry

from schemas.errors import ApiError
from schemas.limits import DEFAULT_LIMIT
from sinks.read_api.request.paging import Paging, Placed, cursor_at, paging_of

T = TypeVar("T")


@strawberry.type
class PageInfo:
    has_next_page: bool
    has_previous_page: bool
    start_cursor: str | None
    end_cursor: str | None


@strawberry.type
class Edge(Generic[T]):
    node: T
    cursor: str


@strawberry.type
class Connection(Generic[T]):
    edges: list[Edge[T]]
    page_info: PageInfo

    @strawberry.field(description="The nodes without their cursors.")
    def nodes(self) -> list[T]:
        return [edge.node for edge in self.edges]


def paging(first: int | None, after: str | None) -> Paging:
    """Raises ``ApiError`` for a number out of range or a cursor that was never given out."""
    query = {"cursor": after or "", "limit": str(DEFAULT_LIMIT if first is None else first)}
    try:
        return paging_of(query)
    except ApiError as refused:
        raise ApiError(
            refused.code, refused.message.replace("limit", "first"), "first" if refused.param == "limit" else "after"
        ) from None


def numbered(limit: int | None, page: int | None, after: str | None) -> Paging:
    """By number, or behind a cursor; raises ``ApiError``."""
    query = {"limit": str(DEFAULT_LIMIT if limit is None else limit)}
    query |= {} if page is None else {"page": str(page)}
    query |= {} if after is None else {"cursor": after}
    return paging_of(query)


def place_of(row: Placed[Any]) -> tuple[int, str]:
    """What a cursor behind the row says."""
    return row.at_ms, row.id


def connect(
    rows: Sequence[Any], place: Callable[[Any], Sequence[Any]], paging: Paging, node: Callable[[Any], T]
) -> Any:
    """``rows`` are at most ``paging.fetch_limit``: a row more than the page shows that a next page exists."""
    shown = rows[: paging.limit]
    edges = [Edge(node=node(row), cursor=cursor_at(place(row))) for row in shown]
    return Connection(
        edges=edges,
        page_info=PageInfo(
            has_next_page=len(rows) > paging.limit,
            has_previous_page=bool(paging.after) or paging.offset > 0,
            start_cursor=edges[0].cursor if edges else None,
            end_cursor=edges[-1].cursor if edges else None,
        ),
    )
