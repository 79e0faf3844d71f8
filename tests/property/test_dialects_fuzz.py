"""Whatever is sent to whichever dialect: an answer in its own words, never an error of ours."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from ingest.dialects import OPERATIONS
from ingest.dialects.altcraft import TEXTS
from ingest.http import xml_codec
from schemas.control import control_state
from schemas.errors import ApiError
from tests.support.builders import cid
from tests.support.edge import MemoryLog, RecordedReads, client_of, memory_edge

KEY = {"Authorization": "Bearer sk_dev_local", "Content-Type": "application/json"}
CONTACT = cid("external_id:fuzz")
FIELDS = st.sampled_from(
    "event events properties traits environment distinct_id anonymous_id new_user_id device_id external_id email phone "
    "data name token os timezone locale timestamp event_id type user_id context message_id campaign_id id matching "
    "profile_id field_name field_value custom_request content attach expiration custom_data subscription_filter "
    "fields value option db_id resource_id phones $in $regex batch userId anonymousId messageId sentAt previousId "
    "groupId category uuid sent_at offset $set $set_once $device_id alias $anon_distinct_id "
    "api_key token writeKey identifier source organization user interval config".split()
)
TEXTS_USED = st.sampled_from(
    "production u1 track identify alias $identify $create_alias a@b.org +79000000000 null custom profile_id".split()
) | st.just(CONTACT)
LEAVES = (
    TEXTS_USED
    | st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.just("data:text/csv;base64,SEVMTE8K")
    | st.just("2026-02-22T21:00:00Z")
)
VALUES = st.recursive(LEAVES, lambda c: st.lists(c, max_size=3) | st.dictionaries(FIELDS, c, max_size=6), max_leaves=20)
BODIES = st.dictionaries(FIELDS, VALUES, max_size=8) | st.lists(st.dictionaries(FIELDS, VALUES, max_size=6), max_size=3)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda c: st.lists(c, max_size=4) | st.dictionaries(TEXT, c, max_size=4),
    max_leaves=15,
)
PHASES = (Phase.explicit, Phase.generate)
"""Shrinking over HTTP takes minutes and a seed says as much."""
ERASED = "/users"
"""How a path ends whose DELETE finds the contact in the stores; this edge has none."""
Post = Callable[..., Any]
PARTS = {"trigger": "t", "who": "w", "key": "pk_dev_local", "project": "p", "id": "1"}
"""Values of the named parts of paths."""


@pytest.fixture(scope="module")
def post(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Post]:
    """Sends a request to one edge for all examples."""
    log = MemoryLog()
    edge = memory_edge(tmp_path_factory.mktemp("fuzz"), log)
    log.tell = edge.merge_map.apply
    trigger = {
        "id": "u1",
        "workspace": "local",
        "created_ms": 1,
        "environment": "production",
        "name": "t",
        "kind": "trigger",
        "channel": "email",
        "status": "active",
        "number": 1,
        "trigger": "t",
        "delivery": {"topic": "t"},
        "variants": [],
        "conversion": None,
        "updated_ms": 1,
    }
    edge.control.apply(control_state.record_key("campaign", "local", "u1"), orjson.dumps(trigger))
    row = {"id": CONTACT, "email": "a@b.org", "phone": "", "identifiers": [], "devices": [], "attributes": {}}
    contact: dict[str, Any] = {"id": CONTACT, "email": None, "phone": None, "attributes": {}}
    results = {"total": 1, "contacts": [row]}
    reads = RecordedReads(
        {
            "/v1/contacts": [200, contact],
            "/internal/audience": [200, results],
            "/internal/trigger": [200, results],
            "/internal/refused": [200, {"refused": True}],
        }
    )
    with asyncio.Runner() as runner:
        client = client_of(edge, reads)

        def send(path: str, body: bytes, headers: dict[str, str], method: str = "POST") -> Any:
            for part, value in PARTS.items():
                path = path.replace(f"{{{part}}}", value)
            return runner.run(client.request(method, path, content=body, headers=KEY | headers))

        yield send
        runner.run(client.aclose())


def check(answer: Any) -> None:
    request = answer.request
    if request.method == "DELETE" and request.url.path.endswith(ERASED) and answer.status_code == 503:
        return
    assert answer.status_code < 500 or answer.status_code == 501, answer.text
    if request.url.path.startswith(("/api/v1.1", "/trg")):
        assert answer.status_code == 200
        value = xml_codec.loads(answer.content) if "xml" in answer.headers["content-type"] else answer.json()
        assert value["error"] in {0, *TEXTS} - {500}, value
    elif answer.status_code >= 400:
        assert isinstance(answer.json(), dict)


@pytest.mark.parametrize(("path", "method"), sorted((o.path, method) for o in OPERATIONS for method in o.methods))
@settings(max_examples=25, deadline=None, phases=PHASES, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=BODIES | VALUES)
def test_any_json_gets_an_answer(post: Post, path: str, method: str, body: Any) -> None:
    check(post(path, orjson.dumps(body, option=orjson.OPT_NON_STR_KEYS), {}, method))


@pytest.mark.parametrize("path", sorted(o.path for o in OPERATIONS if o.finish is not None))
@settings(max_examples=25, deadline=None, phases=PHASES, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=BODIES.filter(lambda b: isinstance(b, dict)))
def test_any_value_in_xml_gets_an_answer(post: Post, path: str, body: Any) -> None:
    named = {name.lstrip("$"): value for name, value in body.items()}
    check(post(path, xml_codec.dumps(named), {"Content-Type": "application/xml"}))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    parts=st.lists(
        st.sampled_from(["<xml>", "</xml>", "<a>", "</a>", "<a/>", "<data>", " json='true'", "&amp;", "&x;"])
        | st.sampled_from(["<!DOCTYPE a>", "<![CDATA[", "]]>", "<?xml version='1.0' encoding='utf-16'?>", "<!--", "\0"])
        | st.text(max_size=4),
        max_size=12,
    )
)
def test_any_text_as_xml_gets_an_answer(post: Post, parts: list[str]) -> None:
    body = "".join(parts).encode("utf-8", "surrogatepass")
    check(post("/api/v1.1/profiles/import", body, {"Content-Type": "text/xml"}))


@settings(max_examples=300)
@given(value=st.dictionaries(st.from_regex(r"\A[a-z_]{1,8}\Z"), JSON, max_size=5))
def test_what_xml_says_is_what_was_meant(value: dict[str, Any]) -> None:
    assert xml_codec.loads(xml_codec.dumps(value)) == value


LAUGHS = "".join(f"<!ENTITY l{n} '{f'&l{n - 1};' * 10}'>" for n in range(1, 10))


@pytest.mark.parametrize(
    "text",
    [
        f"<!DOCTYPE xml [<!ENTITY l0 'lol'>{LAUGHS}]><xml>&l9;</xml>",
        f"<!DOCTYPE xml [<!ENTITY a '{'x' * 1000}'>]><xml>{'&a;' * 1000}</xml>",
        "<!DOCTYPE xml [<!ENTITY a SYSTEM 'file:///etc/passwd'>]><xml>&a;</xml>",
        "<!DOCTYPE xml [<!ENTITY % a SYSTEM 'http://localhost:1/x.dtd'> %a;]><xml/>",
        "<!DOCTYPE xml PUBLIC 'x' 'http://localhost:1/x.dtd'><xml/>",
        "<xml>" * 100_000,
        "<xml>" + "<a/>" * 200_000 + "</xml>",
        "<xml xmlns:xi='http://www.w3.org/2001/XInclude'><xi:include href='/etc/passwd'/>",
    ],
    ids=["laughs", "quadratic", "file", "parameter", "external", "deep", "many", "include"],
)
def test_an_attack_in_xml_is_refused(text: str) -> None:
    with pytest.raises(ApiError) as refused:
        xml_codec.loads(text.encode())
    assert refused.value.status in (400, 422)
