"""A query parameter that a native route does not take is refused by name; a filter that is misspelt filters nothing."""

import pytest

from ingest.dialects import OPERATIONS
from schemas.api import parameters
from schemas.api.route import SYNC, RouteSpec
from schemas.api.routes import ROUTES
from schemas.errors import ApiError


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_every_native_route_refuses_what_it_does_not_take(route: RouteSpec) -> None:
    path = route.path.replace(":path}", "}").replace("{", "").replace("}", "")
    for name in (*route.query, *parameters.EVERYWHERE):
        if name not in SYNC:
            parameters.check(route.method, path, f"{name}=1")
    with pytest.raises(ApiError) as refused:
        parameters.check(route.method, path, b"environment=staging&no_such_thing=")
    assert (refused.value.status, refused.value.code) == (422, "unknown_parameter")
    assert refused.value.param == "no_such_thing"


@pytest.mark.parametrize(
    ("query", "meant"),
    [("emial=x", "email"), ("Limit=5", "limit"), ("external-id=u", "external_id"), ("segmentId=s", "segment_id")],
)
def test_the_nearest_name_is_told(query: str, meant: str) -> None:
    with pytest.raises(ApiError, match=f"did you mean {meant}"):
        parameters.check("GET", "/v1/contacts", query)


def test_the_names_there_are_are_told_where_none_is_near() -> None:
    with pytest.raises(ApiError, match=r"only email, phone, .*, environment"):
        parameters.check("GET", "/v1/contacts", "xyzzy=1")


@pytest.mark.parametrize("query", ["sync=ture", "timeout_ms=5", "timeout_ms=x", "sync=true&timeout_ms="])
def test_what_every_write_takes_is_checked_on_every_write(query: str) -> None:
    for method, path in (("POST", "/v1/segments"), ("PATCH", "/v1/contacts/email:a/b@x.com"), ("DELETE", "/v1/keys/k")):
        with pytest.raises(ApiError) as refused:
            parameters.check(method, path, query)
        assert refused.value.param in ("sync", "timeout_ms")
        parameters.check(method, path, "sync=TRUE&timeout_ms=50")


def test_paths_of_vendors_ignore_theirs() -> None:
    native = {route.path for route in ROUTES}
    vendors = [o for o in OPERATIONS if o.path not in native]
    assert len(vendors) > 20
    for operation in vendors:
        parameters.check("POST", operation.path, "ip=0&_=1716371&ver=1.2&compression=gzip-js")
    parameters.check("POST", "/v1/receivers/sendgrid/rcv_1", "")


def test_a_long_query_is_looked_at_in_linear_time() -> None:
    with pytest.raises(ApiError) as refused:
        parameters.check("GET", "/v1/contacts", "a" * 60_000 + "=1&" + "b=1&" * 1000)
    assert len(refused.value.message) < 400
    assert len(refused.value.param or "") == parameters.MOST_SHOWN
