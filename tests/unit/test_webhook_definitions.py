"""What a webhook's definition may say, and what is answered of it."""

from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook as Verifier

from ingest.control import webhooks
from schemas.api import serialize
from schemas.control import control_state
from schemas.control.control_state import ControlState, Webhook
from schemas.errors import ApiError
from tests.support.builders import NOW_MS

GOOD = {"url": "https://example.com/hook", "types": ["order_completed", "message.*"]}


def made(**more: Any) -> Webhook:
    return webhooks.new_webhook({**GOOD, **more}, "w", "production", NOW_MS, b"\x01" * 24)


def test_a_definition_and_what_is_answered() -> None:
    hook = made()
    assert serialize.webhook_with_secret(hook) == {
        "id": hook.id,
        "url": "https://example.com/hook",
        "types": ["order_completed", "message.*"],
        "segments": [],
        "secret": hook.secret,
        "status": "enabled",
        "reason": None,
        "created_at": "2026-09-21T14:13:20.000Z",
        "updated_at": "2026-09-21T14:13:20.000Z",
    }
    assert "secret" not in serialize.webhook(hook)
    assert hook.secret.startswith("whsec_")
    assert Verifier(hook.secret), "libraries take it"
    assert made(secret="topsecret").secret == "topsecret"


@pytest.mark.parametrize(
    ("value", "code", "param"),
    [
        ([], "invalid_type", None),
        ({"types": ["*"]}, "missing_field", "url"),
        ({"url": "https://x.y/"}, "missing_field", "types"),
        ({**GOOD, "events": []}, "unknown_field", "events"),
        ({**GOOD, "url": "ftp://x.y/"}, "invalid_field", "url"),
        ({**GOOD, "types": "order"}, "invalid_field", "types"),
        ({**GOOD, "types": []}, "invalid_field", "types"),
        ({**GOOD, "types": ["t"] * 101}, "invalid_field", "types"),
        ({**GOOD, "types": ["a", 5]}, "invalid_field", "types[1]"),
        ({**GOOD, "types": [""]}, "invalid_field", "types[0]"),
        ({**GOOD, "types": ["x" * 201]}, "invalid_field", "types[0]"),
        ({**GOOD, "types": ["a*"]}, "invalid_field", "types[0]"),
        ({**GOOD, "types": ["*.a"]}, "invalid_field", "types[0]"),
        ({**GOOD, "types": [".*"]}, "invalid_field", "types[0]"),
        ({**GOOD, "types": ["a.**"]}, "invalid_field", "types[0]"),
        ({**GOOD, "secret": ""}, "invalid_field", "secret"),
        ({**GOOD, "secret": 5}, "invalid_field", "secret"),
        ({**GOOD, "secret": "x" * 257}, "invalid_field", "secret"),
        ({**GOOD, "secret": "with space"}, "invalid_field", "secret"),
        ({**GOOD, "secret": "whsec_%%%%"}, "invalid_field", "secret"),
        ({**GOOD, "secret": "whsec_"}, "invalid_field", "secret"),
    ],
)
def test_what_is_wrong_is_named(value: Any, code: str, param: str | None) -> None:
    with pytest.raises(ApiError) as refused:
        webhooks.new_webhook(value, "w", "production", NOW_MS, b"\x01" * 24)
    assert (refused.value.code, refused.value.param) == (code, param)
    assert refused.value.status == (400 if code == "invalid_type" else 422)


def test_an_edit_changes_what_it_names() -> None:
    hook = made().model_copy(update={"status": "disabled", "reason": "it answered 410"})
    edited = webhooks.edited_webhook(hook, {"status": "enabled"}, NOW_MS + 5)
    assert (edited.status, edited.reason, edited.url, edited.types) == ("enabled", "", hook.url, hook.types)
    assert webhooks.edited_webhook(hook, {"types": ["a", "a"]}, NOW_MS).types == ("a",)
    still_off = webhooks.edited_webhook(hook, {"url": "https://z.y/"}, NOW_MS)
    assert still_off.reason == serialize.webhook(still_off)["reason"] == "it answered 410"
    for wrong, param in (({"status": "on"}, "status"), ({"secret": "topsecret"}, "secret"), ({"url": None}, "url")):
        with pytest.raises(ApiError) as refused:
            webhooks.edited_webhook(hook, wrong, NOW_MS)
        assert refused.value.param == param


def test_a_rotation_keeps_the_old_secret_for_a_day() -> None:
    hook = made(secret="the-old-one")
    new = webhooks.rotated_webhook(hook, {}, NOW_MS, b"\x02" * 24)
    assert new.secrets(NOW_MS) == (new.secret, "the-old-one")
    assert new.secrets(NOW_MS + webhooks.OVERLAP_MS) == (new.secret,)
    assert webhooks.rotated_webhook(hook, {"secret": "the-new-one"}, NOW_MS, b"").secret == "the-new-one"
    with pytest.raises(ApiError):
        webhooks.rotated_webhook(hook, {"secret": "the-old-one"}, NOW_MS, b"")


def test_it_comes_back_from_the_log_as_it_was() -> None:
    hook, state = made(), ControlState()
    state.apply(*control_state.encode("webhook", hook))
    assert state.webhooks["w", "production"] == {hook.id: hook} == state.webhooks_by_id
    state.apply(*control_state.encode("webhook", hook.model_copy(update={"deleted": True})))
    assert state.webhooks["w", "production"] == {} == state.webhooks_by_id
