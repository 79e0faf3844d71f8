"""What every HTTP answer of ours has, whatever happens inside: a request id, one error shape; and who may ask."""

from typing import Any

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router

from deploy.local import seed
from schemas.control import control_state, development
from schemas.control.control_state import ControlState
from schemas.errors import ApiError
from schemas.service import web
from tests.support.builders import NOW_MS


async def fine(_request: Request) -> Response:
    return web.JsonResponse({"ok": True})


async def refuse(request: Request) -> Response:
    raise ApiError(request.query_params["code"], "why", "the.param")


async def crash(_request: Request) -> Response:
    raise KeyError("secret of ours")


async def half(_request: Request) -> Response:
    async def lines() -> Any:
        yield b"x"
        raise KeyError("secret of ours")

    from starlette.responses import StreamingResponse  # noqa: PLC0415 - for this one case

    return StreamingResponse(lines())


def app() -> web.ErrorMiddleware:
    return web.ErrorMiddleware(
        Router([Route("/fine", fine), Route("/refuse", refuse), Route("/crash", crash), Route("/half", half)])
    )


async def ask(path: str, method: str = "GET", **options: Any) -> httpx.Response:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app()), base_url="http://test") as client:
        return await client.request(method, path, **options)


@pytest.mark.parametrize(
    ("path", "method", "status", "code"),
    [
        ("/refuse?code=invalid_field", "GET", 422, "invalid_field"),
        ("/refuse?code=unavailable", "GET", 503, "unavailable"),
        ("/nowhere", "GET", 404, "not_found"),
        ("/fine", "DELETE", 405, "method_not_allowed"),
        ("/crash", "GET", 500, "internal"),
    ],
)
async def test_errors_have_one_shape(path: str, method: str, status: int, code: str) -> None:
    answer = await ask(path, method)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (status, code)
    assert error["request_id"] == answer.headers["X-Request-Id"]
    assert "secret" not in answer.text
    assert (answer.headers.get("Retry-After") == "1") == (status == 503)
    assert ("param" in error) == ("refuse" in path)


@pytest.mark.parametrize("path", ["/fine", "/refuse?code=not_found", "/nowhere", "/crash"])
async def test_the_clients_request_id_comes_back_where_it_is_sane(path: str) -> None:
    assert (await ask(path, headers={"X-Request-Id": "a-B_1.2"})).headers["X-Request-Id"] == "a-B_1.2"
    for odd in ("", "a b", "x" * 200, "é"):
        answer = await ask(path, headers={"X-Request-Id": odd.encode()})
        assert answer.headers["X-Request-Id"].startswith("req_")


async def test_an_answer_that_has_begun_breaks_off() -> None:
    with pytest.raises(KeyError):
        await ask("/half")


def state() -> ControlState:
    state = ControlState()
    for kind, record in seed.records():
        state.apply(*control_state.encode(kind, record))
    return state


@pytest.mark.parametrize(
    ("key", "query", "headers", "outcome"),
    [
        (development.SECRET_KEY, {}, {}, "production"),
        (development.SECRET_KEY, {"environment": "staging"}, {}, "staging"),
        (development.SECRET_KEY, {}, {b"headwater-environment": b"staging"}, "staging"),
        (development.SECRET_KEY, {"environment": "production"}, {b"headwater-environment": b"staging"}, "production"),
        (development.SECRET_KEY, {"environment": ""}, {}, 422),
        (development.SECRET_KEY, {}, {b"headwater-environment": b"\xff"}, 422),
        (development.PUBLIC_KEY, {}, {}, "production"),
        (development.PUBLIC_KEY, {"environment": "production"}, {}, "production"),
        (development.PUBLIC_KEY, {"environment": "staging"}, {}, 403),
        ("sk_other", {}, {}, 401),
        ("", {}, {}, 401),
    ],
)
def test_who_asks_and_about_which_environment(
    key: str, query: dict[str, str], headers: dict[bytes, bytes], outcome: str | int
) -> None:
    given = {b"authorization": f"Bearer {key}".encode(), **headers}
    try:
        environment: str | int = web.authorise(state(), given, query, "events:ingest", NOW_MS).environment
    except ApiError as refused:
        environment = refused.status
    assert environment == outcome


def test_a_scope_that_is_missing_is_403() -> None:
    with pytest.raises(ApiError) as refused:
        web.authorise(state(), {b"x-api-key": development.PUBLIC_KEY.encode()}, {}, "contacts:read", NOW_MS)
    assert (refused.value.status, refused.value.code) == (403, "missing_scope")
