"""Lists as CSV and NDJSON: which form is asked for, which columns there are, and what a spreadsheet must not run."""

import csv
import io
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.responses import StreamingResponse

from schemas.api.answers.schemas import SHAPES
from schemas.control.access import Principal
from schemas.errors import ApiError
from sinks.read_api.lists.forms import MOST_SPREAD, CsvLines, NdjsonLines, form_of
from sinks.read_api.lists.stream import whole_list
from sinks.read_api.request.context import ReadRequest
from sinks.read_api.request.paging import cursor_at
from sinks.read_api.request.tenant import Tenant
from sinks.read_api.routes import LISTS


def table(shape: str, *pages: list[Any]) -> list[dict[str, str]]:
    lines = CsvLines(list(SHAPES[shape].__annotations__))
    text = lines.head(pages[0]) + b"".join(lines.lines(page) for page in pages)
    return list(csv.DictReader(io.StringIO(text.decode(), newline="")))


def contact(**attributes: Any) -> dict[str, Any]:
    return {"id": "cnt_1", "email": None, "attributes": orjson.Fragment(orjson.dumps(attributes)), "consents": {}}


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("", "json"),
        ("*/*", "json"),
        ("text/csv", "csv"),
        ("application/x-ndjson", "ndjson"),
        ("text/html,application/xhtml+xml,*/*;q=0.8", "json"),
        ("text/csv;q=0.5, application/json", "json"),
        ("application/json;q=0.1, Text/CSV; charset=utf-8", "csv"),
        ("text/csv;q=0", "json"),
        ("image/png", "json"),
        ("," * 100_000 + "text/csv", "json"),
    ],
)
def test_the_form_is_the_one_that_is_liked_best(accept: str, form: str) -> None:
    assert form_of({}, accept) == form
    assert form_of({"format": "csv"}, accept) == "csv", "what the address says holds"


def test_an_unknown_form_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(ApiError, match="json, ndjson, csv") as refused:
        form_of({"format": "xlsx"}, "")
    assert (refused.value.status, refused.value.param) == (422, "format")


def test_every_list_has_columns() -> None:
    assert set(LISTS.values())
    for shape in LISTS.values():
        assert CsvLines(list(SHAPES[shape].__annotations__)).head([]).strip(), shape


def test_columns_are_the_shapes_and_nothing_is_left_out() -> None:
    first = [contact(plan="pro", n=1.5), contact(plan="free")]
    rows = table("Contact", first, [contact(plan="x", late=[1, 2])])
    assert list(rows[0])[:3] == ["id", "email", "phone"]
    assert [row["attributes.plan"] for row in rows] == ["pro", "free", "x"]
    assert [row["attributes"] for row in rows] == ["", "", '{"late":[1,2]}']
    assert [row["attributes.n"] for row in rows] == ["1.5", "", ""]
    wide = table("Contact", [contact(**{f"a{n}": n for n in range(5000)})])
    assert sum(name.startswith("attributes.") for name in wide[0]) == MOST_SPREAD
    assert len(orjson.loads(wide[0]["attributes"])) == 5000 - MOST_SPREAD


@pytest.mark.parametrize("text", ["=1+1", "@SUM(A1)", "+cmd|' /C calc'!A0", "-2+3", "\t=1", "\r=1", " =1", "\uff1d1"])
def test_a_formula_is_text_to_a_spreadsheet(text: str) -> None:
    assert table("Contact", [contact(plan=text)])[0]["attributes.plan"] == f"'{text}"


@pytest.mark.parametrize("text", ["+4915112345678", "-5", "-1,234.5", "a=b", "x@y.z", "'=1", "line\nbreak", 'quo"te'])
def test_other_text_and_phone_numbers_stay_as_they_are(text: str) -> None:
    assert table("Contact", [contact(plan=text)])[0]["attributes.plan"] == text


@given(st.text())
def test_no_cell_begins_as_a_formula(text: str) -> None:
    cell = table("Contact", [contact(plan=text)])[0]["attributes.plan"]
    assert cell.lstrip("'") == text.lstrip("'") or not text
    assert not cell.startswith(("=", "@", "\t="))


def test_ndjson_is_what_the_api_says_a_row_a_line() -> None:
    rows = [contact(plan="a\nb"), contact()]
    lines = NdjsonLines().lines(rows)
    assert [orjson.loads(line) for line in lines.splitlines()] == orjson.loads(orjson.dumps(rows))


async def test_a_page_is_read_when_the_one_before_is_taken() -> None:
    read: list[int] = []

    async def page(request: ReadRequest) -> Any:
        (after,) = request.paging.cursor_of(int) or (0,)
        read.append(after)
        rows = [{"id": f"seg_{after}", "name": "x" * request.paging.limit}]
        return {"data": rows, "next_cursor": cursor_at([after + 1]) if after < 999 else None}

    scope = {"type": "http", "path": "/v1/segments", "query_string": b"", "headers": []}
    request = ReadRequest(
        Principal("key_1", "secret", "w", "production", ()), Tenant("w", "production"), Request(scope)
    )
    answer = await whole_list(page, request, "csv", "Segment")
    assert read == [0]
    assert isinstance(answer, StreamingResponse)
    parts = aiter(answer.body_iterator)
    for _ in range(3):
        await anext(parts)
    assert read == [0, 1], "the columns, a page, and the next one"
    assert len([part async for part in parts]) == 998
