"""Which operation of a GraphQL document is meant: a document that does not say is the client's mistake, never ours."""

from typing import Any

import orjson
import pytest

from schemas.api.requests.graphql import GraphQLRequest
from sinks.read_api.graphql import execution

TWO = "query a { __typename } query b { __typename }"


async def _answer(query: str, name: str | None) -> tuple[int, Any]:
    context: Any = None  # nothing is read
    answer = await execution.execute(GraphQLRequest(query=query, operationName=name), context, may_write=True)
    return answer.status_code, orjson.loads(bytes(answer.body))


@pytest.mark.parametrize(
    ("query", "name", "message"),
    [
        ("{ __typename }", "x", "operationName"),
        ("{ __typename }", "", "operationName"),
        ("query a { __typename }", "٣", "operationName"),
        (TWO, "c", "operationName"),
        (TWO, None, "several"),
        ("{ __typename } query b { __typename }", None, "several"),
        ("fragment f on Query { __typename }", None, "no operation"),
        ("fragment f on Query { __typename }", "f", "no operation"),
        ("type T { a: Int }", None, "no operation"),
    ],
)
async def test_a_document_that_names_no_operation_is_refused(query: str, name: str | None, message: str) -> None:
    status, body = await _answer(query, name)
    assert status == 400
    assert message in body["errors"][0]["message"]


@pytest.mark.parametrize(("query", "name"), [("{ __typename }", None), ("query a { __typename }", "a"), (TWO, "b")])
async def test_the_one_that_is_meant_is_executed(query: str, name: str | None) -> None:
    assert await _answer(query, name) == (200, {"data": {"__typename": "Query"}})
