"""Secrets on `control`: sealed with the first key, read with each, never in clear, and never fatal."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.control import control_state, sealing
from schemas.control.control_state import ControlState, Receiver, Webhook
from schemas.settings import Settings
from tests.support.builders import NOW_MS

WEBHOOK = Webhook(
    id="whk_1",
    workspace="local",
    environment="production",
    created_ms=NOW_MS,
    updated_ms=NOW_MS,
    url="https://example.com",
    types=("*",),
    secret="whsec_one",
    previous_secret="whsec_before",
    status="enabled",
)
RECEIVER = Receiver(
    id="rcv_1", workspace="local", environment="production", created_ms=1, provider="mailgun", secret="mg-key"
)


@pytest.fixture(autouse=True)
def _no_keys() -> Iterator[None]:
    yield
    sealing.use([])


def read(key: bytes, value: bytes) -> ControlState:
    state = ControlState()
    state.apply(key, value)
    return state


def test_a_record_shows_no_secret_and_gives_it_back() -> None:
    sealing.use(["one"])
    for kind, record in (("webhook", WEBHOOK), ("receiver", RECEIVER)):
        key, value = control_state.encode(kind, record)
        assert not any(word in value for word in (b"whsec_one", b"whsec_before", b"mg-key"))
        webhook = read(key, value)
        assert [*webhook.webhooks_by_id.values(), *webhook.receivers.values()] == [record]


def test_keys_are_changed_by_a_new_one_in_front() -> None:
    sealing.use(["old"])
    before = control_state.encode("webhook", WEBHOOK)
    sealing.use(["new", "old"])
    assert read(*before).webhooks_by_id["whk_1"].secret == "whsec_one"
    after = control_state.encode("webhook", WEBHOOK)
    sealing.use(["new"])
    assert read(*after).webhooks_by_id["whk_1"].secret == "whsec_one"
    assert read(*before).webhooks_by_id == {}


@pytest.mark.parametrize("keys", [[], ["another"]])
def test_a_secret_that_cannot_be_read_is_one_definition_less(keys: list[str]) -> None:
    sealing.use(["one"])
    sealed = control_state.encode("webhook", WEBHOOK)
    sealing.use(keys)
    webhook = read(*sealed)
    assert (webhook.webhooks_by_id, webhook.unreadable) == ({}, 1)


def test_records_of_before_stay_readable() -> None:
    clear = control_state.encode("webhook", WEBHOOK)
    assert b"whsec_one" in clear[1]
    sealing.use(["one"])
    assert read(*clear).webhooks_by_id["whk_1"] == WEBHOOK


def test_keys_come_from_the_variable_the_file_or_the_home(tmp_path: Path) -> None:
    home = tmp_path
    assert Settings(home=home).secret_keys == []
    (home / "secret.key").write_text("local\n")
    assert Settings(home=home).secret_keys == ["local"]
    (home / "given").write_text("a\nb\n")
    assert Settings(home=home, secret_key_file=str(home / "given")).secret_keys == ["a", "b"]
    assert Settings(home=home, secret_key="x, y", secret_key_file=str(home / "given")).secret_keys == ["x", "y"]
