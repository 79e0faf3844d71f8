"""Query parameters and the two shapes of a list."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from schemas.control.access import Principal
from schemas.errors import ApiError
from sinks.read_api.request.context import ReadRequest
from sinks.read_api.request.paging import Paging, identifier, list_page, listing, paging_of, time_ms
from sinks.read_api.request.tenant import Tenant


def rows_of(count: int) -> list[dict[str, Any]]:
    return [{"id": f"id_{n}"} for n in range(count)]


@given(st.integers(0, 60), st.integers(1, 20))
def test_pages_and_cursors_walk_a_list_whole_and_in_order(count: int, limit: int) -> None:
    rows = rows_of(count)
    by_page: list[Any] = []
    for page in range(1, count // limit + 3):
        result = list_page(paging_of({"limit": str(limit), "page": str(page)}), rows)
        assert result["meta"] == {"total": count, "page": page, "limit": limit}
        by_page += result["data"]
        following = result["next_cursor"]
        assert (following is None) == (page * limit >= count)
        if following is not None:
            further = list_page(paging_of({"limit": str(limit), "cursor": following}), rows)
            assert further["data"] == rows[page * limit : (page + 1) * limit], "a page's cursor goes on behind it"
    by_cursor: list[Any] = []
    cursor: str | None = ""
    while cursor is not None:
        result = list_page(paging_of({"limit": str(limit), "cursor": cursor}), rows)
        by_cursor += result["data"]
        cursor = result["next_cursor"]
        assert result["data"] or not rows
    assert by_page == by_cursor == rows


@given(st.text())
def test_any_text_as_a_cursor_is_taken_or_refused(text: str) -> None:
    try:
        result = paging_of({"cursor": text})
        result.cursor_of(str)
    except ApiError as refused:
        assert (refused.status, refused.param) == (422, "cursor")
    else:
        assert text == "" or result.after


@given(st.text())
def test_any_text_as_a_number_is_taken_or_refused(text: str) -> None:
    try:
        result = paging_of({"limit": text})
    except ApiError as refused:
        assert (refused.status, refused.param) == (422, "limit")
    else:
        assert 1 <= result.limit <= 100


def test_a_cursor_of_another_list_is_refused() -> None:
    page = paging_of({"cursor": "", "limit": "1"})
    given_out = listing(page, rows_of(2), 2, [(1, "a"), (2, "b")])["next_cursor"]
    assert given_out is not None
    assert paging_of({"cursor": given_out}).cursor_of(int, str) == [1, "a"]
    with pytest.raises(ApiError, match="belongs to another list"):
        paging_of({"cursor": given_out}).cursor_of(str)


def test_what_is_not_said_is_the_first_page_of_twenty() -> None:
    assert paging_of({}) == Paging(limit=20, page=1, after=None)


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("2026-05-22T09:01:23Z", 1_779_440_483_000),
        ("2026-05-22T11:01:23 02:00", 1_779_440_483_000),
        ("1779440483", 1_779_440_483_000),
        ("1779440483123", 1_779_440_483_123),
    ],
)
def test_times(text: str, ms: int) -> None:
    assert time_ms({"since": text}, "since") == ms


@pytest.mark.parametrize("text", ["", "now", "-1", "²", "9" * 15, "2026-13-01"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ApiError) as refused:
        time_ms({"since": text}, "since")
    assert refused.value.param == "since"


@pytest.mark.parametrize(
    ("query_string", "name", "meant"),
    [
        ("email=jane+news@example.com", "email", "jane+news@example.com"),
        ("email=jane%2Bnews@example.com", "email", "jane+news@example.com"),
        ("email=+tag@example.com", "email", "+tag@example.com"),
        ("email=%20jane@example.com%20", "email", "jane@example.com"),
        ("phone=+447700900123", "phone", "+447700900123"),
        ("phone=%2B447700900123", "phone", "+447700900123"),
        ("phone=+44+7700+900123", "phone", "+447700900123"),
        ("phone=447700900123", "phone", "+447700900123"),
    ],
)
def test_a_plus_in_an_address_is_one_encoded_or_not(query_string: str, name: str, meant: str) -> None:
    request = Request(
        {"type": "http", "query_string": query_string.encode(), "headers": [], "path": "/", "server": None}
    )
    principal = Principal(key_id="k", kind="secret", workspace="local", environment="production", scopes=())
    query = ReadRequest(principal, Tenant("local", "production"), request).query
    assert identifier(query, name) == meant


def test_a_plus_elsewhere_in_a_query_is_a_space() -> None:
    query_string = b"name=a+b&contact=email:a+b@example.com"
    request = Request({"type": "http", "query_string": query_string, "headers": [], "path": "/", "server": None})
    principal = Principal(key_id="k", kind="secret", workspace="local", environment="production", scopes=())
    query = ReadRequest(principal, Tenant("local", "production"), request).query
    assert query == {"name": "a b", "contact": "email:a+b@example.com"}


def test_identifiers_are_normalised() -> None:
    assert identifier({"email": " A@B.c "}, "email") == "a@b.c"
    assert identifier({}, "email") is None
    with pytest.raises(ApiError, match="identifies nobody"):
        identifier({"external_id": "null"}, "external_id")
