"""The fold over `control`: what a newer version wrote stops no older one."""

import logging
from typing import Any

import orjson
import pytest

from schemas.control.control_state import ApiKey, ControlState, Segment, digest, encode
from tests.support.builders import ENVIRONMENT, NOW_MS, WORKSPACE

HOME: dict[str, Any] = {"workspace": WORKSPACE, "environment": ENVIRONMENT, "created_ms": NOW_MS}
SEGMENT = Segment(id="seg_1", name="n", rule={"identified": True}, version=1, updated_ms=NOW_MS, **HOME)
KEY = ApiKey(id="key_1", name="n", kind="secret", scopes=("admin",), sha256=digest("sk_1"), **HOME)


@pytest.mark.parametrize("value", [b"{", b"[]", b"null", b'{"id":"seg_1"}'])
def test_a_definition_that_cannot_be_read_stays_as_it_was(value: bytes, caplog: pytest.LogCaptureFixture) -> None:
    state = ControlState()
    state.apply(*encode("segment", SEGMENT))
    with caplog.at_level(logging.ERROR):
        state.apply(encode("segment", SEGMENT)[0], value)
    assert state.segments[WORKSPACE, ENVIRONMENT] == {"seg_1": SEGMENT}
    assert "segment/seg_1" in caplog.text


def test_a_newer_field_changes_nothing_here() -> None:
    state = ControlState()
    state.apply(*encode("segment", SEGMENT))
    key, value = encode("segment", SEGMENT.model_copy(update={"version": 2}))
    state.apply(key, orjson.dumps({**orjson.loads(value), "of_tomorrow": 1}))
    assert state.segments[WORKSPACE, ENVIRONMENT]["seg_1"].version == 1


def test_a_key_that_cannot_be_read_is_no_key(caplog: pytest.LogCaptureFixture) -> None:
    state = ControlState()
    state.apply(*encode("key", KEY))
    assert state.key("sk_1", NOW_MS) == KEY
    key, value = encode("key", KEY)
    with caplog.at_level(logging.ERROR):
        state.apply(key, orjson.dumps({**orjson.loads(value), "revoked_by": "somebody"}))
    assert state.key("sk_1", NOW_MS) is None
    assert KEY.sha256 not in caplog.text
