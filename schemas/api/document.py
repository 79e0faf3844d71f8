"""The table of routes and the vendors' paths in; the OpenAPI 3.1 document out; pure.

1. Models describe bodies, and types describe answers; events and rules come from the constants that check them.
2. A route's refusals follow from its kind: whether it needs a key, has a part in its path, takes a body.
"""

from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from schemas.api.answers.schemas import answer_schemas
from schemas.api.parameter_prose import PATH_PARTS, QUERY_PARTS
from schemas.api.request_schemas import BODIES
from schemas.api.requests import access, campaigns, contacts, graphql, lists, quarantine, receivers, segments, webhooks
from schemas.api.route import ANY_KEY, PUBLIC, RouteSpec
from schemas.api.routes import ROUTES
from schemas.json_schema import OBJECT, TEXT, Schema, listed, many, record, ref

MODELS: tuple[type[BaseModel], ...] = (
    contacts.ContactUpsert,
    contacts.ContactEdit,
    contacts.Listing,
    contacts.SplitRequest,
    campaigns.NewCampaign,
    campaigns.CampaignEdit,
    campaigns.NewLaunch,
    access.NewKey,
    access.NewEnvironment,
    access.NewWorkspace,
    access.WorkspaceEdit,
    access.TypedColumnEdit,
    receivers.NewReceiver,
    segments.NewSegment,
    segments.SegmentEdit,
    segments.SegmentPreview,
    lists.NewValueList,
    lists.ListReplacement,
    lists.ListChange,
    webhooks.NewWebhook,
    webhooks.WebhookEdit,
    webhooks.SecretRotation,
    webhooks.WebhookTest,
    webhooks.RetryRequest,
    quarantine.QuarantineRequest,
    graphql.GraphQLRequest,
)
_SAID = {
    400: "not JSON, or not an object",
    401: "no key, or an invalid one",
    403: "the key lacks the scope",
    404: "not found",
    405: "a mutation takes POST",
    409: "conflicts with the current state",
    413: "too large",
    415: "unsupported content type or encoding",
    422: "a field or parameter is missing or wrong: param names it",
    429: "over the key's rate",
    503: "not durable in time, or a dependency is unavailable: try again",
}
_TELLING = {
    429: ("Retry-After", "RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"),
    503: ("Retry-After",),
}
"""Headers of refusals."""
_STREAMED = ("application/x-ndjson", "text/csv")
"""Other forms of a list."""
_SCHEMES: dict[str, Schema] = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    "query": {"type": "apiKey", "in": "query", "name": "apiKey"},
}
_PARAMETERS: dict[str, Schema] = {
    "Environment": {
        "name": "environment",
        "in": "query",
        "schema": TEXT,
        "description": "An environment other than the key's own.",
    },
    "IdempotencyKey": {
        "name": "Idempotency-Key",
        "in": "header",
        "schema": {"type": "string", "minLength": 1, "maxLength": 255},
        "description": "Requests with the same key are performed once within 24 hours.",
    },
}
_GRAPHQL_REFUSED = {"anyOf": [ref("Error"), record({"errors": many(OBJECT)})]}


def document(vendors: Iterable[tuple[str, str, str, Any]] = ()) -> dict[str, Any]:
    """``vendors``: source, method, path and a body of each operation of a vendor's dialect."""
    paths: dict[str, dict[str, Any]] = {}
    for route in ROUTES:
        paths.setdefault(route.public_path, {})[route.method.lower()] = _operation(route)
    for source, method, path, example in vendors:
        public = path.replace(":path}", "}")
        paths.setdefault(public, {})[method.lower()] = _vendors(source, method, public, example)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Headwater",
            "version": "1",
            "description": "Events in; contacts, their segments and webhooks out.",
        },
        "paths": paths,
        "components": {
            "schemas": _schemas(),
            "responses": {str(status): _refusal(status, reason) for status, reason in _SAID.items()},
            "parameters": _PARAMETERS,
            "securitySchemes": _SCHEMES,
        },
    }


def _schemas() -> dict[str, Schema]:
    _, schemas = models_json_schema(
        [(model, "validation") for model in MODELS], ref_template="#/components/schemas/{model}"
    )
    return {**schemas["$defs"], **BODIES, **answer_schemas(), "ProviderReport": {}, "GraphQLRefused": _GRAPHQL_REFUSED}


def _operation(route: RouteSpec) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": _name(route.method, route.public_path),
        "summary": route.summary,
        "tags": [route.tag],
        "parameters": _parameters(route),
        "responses": _responses(route),
    }
    scopes = [] if route.scope in (PUBLIC, ANY_KEY) else [route.scope]
    operation["security"] = [] if route.scope == PUBLIC else [{scheme: scopes} for scheme in _SCHEMES]
    if scopes:
        operation["description"] = f"Scope: `{route.scope}`"
    if route.body:
        operation["requestBody"] = {
            "required": route.body_needed,
            "content": {"application/json": {"schema": ref(route.body)}},
        }
    return operation


def _parameters(route: RouteSpec) -> list[Schema]:
    parameters: list[Schema] = [
        _path_part(part[1:-1], route.tag, {"type": "string", "minLength": 1})
        for part in route.public_path.split("/")
        if part.startswith("{")
    ]
    parameters += [
        {"name": name, "in": "query", "schema": schema, "description": _prose(name, schema)}
        for name, schema in route.query.items()
    ]
    if route.scope != PUBLIC:
        parameters.append({"$ref": "#/components/parameters/Environment"})
        if route.method == "POST":
            parameters.append({"$ref": "#/components/parameters/IdempotencyKey"})
    return parameters


def _path_part(name: str, tag: str, schema: Schema) -> Schema:
    prose = PATH_PARTS.get(f"{tag}.{name}") or PATH_PARTS[name]
    return {"name": name, "in": "path", "required": True, "schema": schema, "description": prose}


def _prose(name: str, schema: Schema) -> str:
    return str(schema.get("description") or QUERY_PARTS[name])


def refusals(route: RouteSpec) -> set[int]:
    """The statuses with which a route of this kind may refuse a request."""
    statuses = {401, 403, 422, 429, 503} if route.scope != PUBLIC else set()
    if "{" in route.path or route.path == "/graphql":
        statuses |= {404}
    if route.path == "/graphql":
        statuses |= {400, 405}
    if route.method == "POST":
        statuses |= {409, 413}
    if route.body:
        statuses |= {400, 413, 415, 422, 503}
    return statuses


def _responses(route: RouteSpec) -> dict[str, Any]:
    shapes: dict[int, str] = dict.fromkeys(refusals(route), "Error") | route.errors
    responses = {
        status: {"$ref": f"#/components/responses/{status}"} if shape == "Error" else _answer(_SAID[status], shape)
        for status, shape in shapes.items()
    }
    responses |= {status: _answer(route.summary, shape, route.media) for status, shape in route.answers.items()}
    return {str(status): responses[status] for status in sorted(responses)}


def _answer(description: str, shape: str, media: str = "application/json") -> dict[str, Any]:
    headers = {"X-Request-Id": {"schema": TEXT, "required": True}}
    if not shape:
        return {"description": description, "headers": headers}
    content: dict[str, Schema] = {media: {"schema": ref(shape)}}
    if shape.endswith("[]"):
        content = {media: {"schema": listed(shape[:-2])}, **{other: {"schema": TEXT} for other in _STREAMED}}
    return {"description": description, "headers": headers, "content": content}


def _refusal(status: int, description: str) -> dict[str, Any]:
    answer = _answer(description, "Error")
    for name in _TELLING.get(status, ()):
        answer["headers"][name] = {"schema": {"type": "integer", "minimum": 0}}
    return answer


def _vendors(source: str, method: str, path: str, example: Any) -> dict[str, Any]:
    parts = [part[1:-1] for part in path.split("/") if part.startswith("{")]
    body = {"required": True, "content": {"application/json": {"schema": {}, "example": example}}}
    return {
        **({} if example is None or method == "GET" else {"requestBody": body}),
        "operationId": _name(method, path),
        "summary": f"{source}'s call, as its own documents say",
        "tags": [source],
        "parameters": [_path_part(name, source, TEXT) for name in parts],
        "responses": {"default": {"description": "in the vendor's own format"}},
        "security": [{scheme: []} for scheme in _SCHEMES],
    }


def _name(method: str, path: str) -> str:
    words = [part.strip("{}") for part in path.split("/") if part]
    if path.endswith("/"):
        words.append("slash")
    return "_".join([method.lower(), *words]).replace(".", "_")
