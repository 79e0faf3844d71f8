"""A list's handler in; all of the list as one answer, page by page, out.

1. No more than a page is held, and a page is read when the client has taken the one before: a slow client costs the
   database nothing, and memory does not grow with the list.
2. The first page is read before the answer begins, so what is refused is refused with its status. An answer that
   cannot go on is cut off, never ended: a client of HTTP tells the two apart.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any, Protocol

from starlette.responses import Response, StreamingResponse

from schemas.api.answers.fields import Page
from schemas.api.answers.schemas import SHAPES
from schemas.errors import ApiError
from schemas.limits import CSV
from sinks.read_api.lists.forms import CsvLines, NdjsonLines
from sinks.read_api.request import weight
from sinks.read_api.request.context import ReadRequest
from sinks.read_api.request.paging import Paging, cursor_values

ROWS = 200
"""Of a page."""
FIRST = Paging(limit=ROWS, page=1, after=[])

ListHandler = Callable[[ReadRequest], Awaitable[Page[Any]]]


class Lines(Protocol):
    media_type: str

    def head(self, rows: Any) -> bytes: ...

    def lines(self, rows: Any) -> bytes: ...


async def whole_list(handler: ListHandler, request: ReadRequest, form: str, shape: str) -> Response:
    """Raises ``ApiError``: the handler's own errors, and 422 for parameters of pages, which a whole list lacks."""
    for name in ("limit", "page", "cursor"):
        if name in request.query:
            raise ApiError("invalid_field", f"a list as {form} is whole: leave out {name}", name)
    lines: Lines = CsvLines(list(SHAPES[shape].__annotations__)) if form == CSV else NdjsonLines()
    first = await _page(handler, request, FIRST)
    name = request.http.url.path.rstrip("/").rpartition("/")[2]
    headers = {"Content-Disposition": f'attachment; filename="{name}.{form}"'}

    async def body() -> AsyncIterator[bytes]:
        page = first
        yield lines.head(page["data"])
        while True:
            if part := lines.lines(page["data"]):
                yield part
            following = page["next_cursor"]
            if following is None:
                return
            page = await _page(handler, request, replace(FIRST, after=cursor_values(following)))

    return StreamingResponse(body(), media_type=lines.media_type, headers=headers)


async def _page(handler: ListHandler, request: ReadRequest, paging: Paging) -> Page[Any]:
    with weight.counted():  # of a page, not of the whole answer
        return await handler(replace(request, whole=paging))


async def pages(handler: ListHandler, request: ReadRequest) -> AsyncIterator[list[Any]]:
    """All rows of a list, page by page."""
    following: str | None = ""
    while following is not None:
        page = await _page(handler, request, replace(FIRST, after=cursor_values(following)))
        yield page["data"]
        following = page["next_cursor"]
