"""An HTTP request in, its document checked and executed, the answer as https://graphql.github.io/graphql-over-http out.

An error of the request as a whole (its key, its JSON) has the shape and status of every other route's errors;
an error of a field stands under ``errors`` with ``extensions.code``, and the other fields are answered.
"""

import hashlib
import logging
import re
from base64 import b64encode
from pathlib import Path
from typing import Any

import orjson
import strawberry
from graphql import DocumentNode, GraphQLError, OperationDefinitionNode, OperationType, parse
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from strawberry.schema.config import StrawberryConfig
from strawberry.types import ExecutionContext

from schemas.api.requests.body import checked
from schemas.api.requests.graphql import GraphQLRequest
from schemas.errors import ApiError
from schemas.service.web import JsonResponse
from sinks.read_api.graphql import cost
from sinks.read_api.graphql.mutations import Mutation
from sinks.read_api.graphql.queries import Query
from sinks.read_api.graphql.types import Context
from sinks.read_api.request import weight

log = logging.getLogger(__name__)

MAX_BODY = 256 * 1024
MAX_TOKENS = 5_000
EXPLORER = (Path(__file__).parent / "explorer.html").read_text()


def _digests(tag: str) -> str:
    """The hashes by which the policy allows the page's inline scripts or styles, and no others."""
    texts = re.findall(rf"<{tag}>(.*?)</{tag}>", EXPLORER, re.DOTALL)
    return " ".join(f"'sha256-{b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in texts)


HEADERS = {
    "Content-Security-Policy": f"default-src 'none'; script-src {_digests('script')}; style-src {_digests('style')};"
    " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
}


class Schema(strawberry.Schema):
    """Shows an ``ApiError``; any other exception of a resolver is a bug, logged and not shown."""

    def process_errors(self, errors: list[GraphQLError], execution_context: ExecutionContext | None = None) -> None:
        for error in errors:
            cause = error.original_error
            if isinstance(cause, ApiError):
                error.extensions = {"code": cause.code, **({"param": cause.param} if cause.param else {})}
            elif cause is not None and not isinstance(cause, GraphQLError):
                log.error("graphql %s", error.path, exc_info=cause)
                error.message, error.extensions = "internal error; it has been logged", {"code": "internal"}


SCHEMA = Schema(query=Query, mutation=Mutation, config=StrawberryConfig(auto_camel_case=True))


async def body_of(request: Request) -> GraphQLRequest:
    """The request of a body or of the query string; raises ``ApiError``."""
    if request.method == "GET":
        params = dict(request.query_params)
        variables = _json(params["variables"].encode()) if params.get("variables") else None
        return checked(GraphQLRequest, {**params, "variables": variables})
    return checked(GraphQLRequest, await json_body(request))


async def execute(body: GraphQLRequest, context: Context, *, may_write: bool) -> Response:
    """The answer to a document that ``body_of`` has checked."""
    variables = body.variables or {}
    try:
        document = parse(body.query, max_tokens=MAX_TOKENS)
        cost.check(document, variables)
        _check_operation(document, body.operation_name)
    except GraphQLError as error:
        return JsonResponse({"errors": [error.formatted]}, 400)
    except ApiError as refused:
        extensions = {"code": refused.code}
        return JsonResponse({"errors": [{"message": refused.message, "extensions": extensions}]}, 400)
    writes = [
        d
        for d in document.definitions
        if isinstance(d, OperationDefinitionNode) and d.operation is not OperationType.QUERY
    ]
    if writes and not may_write:
        raise ApiError("method_not_allowed", "a mutation takes POST", allow=["POST"])
    request = weight.current()
    if request is not None:
        request.bound(weight.MOST_IN_DOCUMENT)
    result = await SCHEMA.execute(
        body.query, variable_values=variables, context_value=context, operation_name=body.operation_name
    )
    answer: dict[str, Any] = {}
    if result.errors:
        answer["errors"] = [error.formatted for error in result.errors]
    if result.data is None and result.errors and not any(error.path for error in result.errors):
        return JsonResponse(answer, 400)  # the document did not validate: nothing was executed
    return JsonResponse({"data": result.data, **answer})


def _check_operation(document: DocumentNode, name: str | None) -> None:
    """Raises ``GraphQLError`` unless the document names one operation to execute."""
    names = [d.name and d.name.value for d in document.definitions if isinstance(d, OperationDefinitionNode)]
    if not names:
        raise GraphQLError("the document has no operation")
    if name is None and len(names) > 1:
        raise GraphQLError("operationName is needed: the document has several operations")
    if name is not None and name not in names:
        raise GraphQLError("the document has no operation of the name operationName")


def explorer() -> Response:
    """A page that shows the schema and runs queries; it loads nothing."""
    return HTMLResponse(EXPLORER, headers=HEADERS)


async def json_body(request: Request) -> Any:
    """The JSON value of a request's body; raises ``ApiError``."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise ApiError("unsupported_media_type", "send application/json", "Content-Type")
    return _json(await _body(request))


async def _body(request: Request) -> bytes:
    raw = b""
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > MAX_BODY:
            raise ApiError("too_large", f"the body is over {MAX_BODY} bytes")
    return raw


def _json(raw: bytes) -> Any:
    try:
        return orjson.loads(raw)
    except ValueError:
        raise ApiError("invalid_json", "not JSON") from None
