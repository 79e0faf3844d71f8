"""Where the command line calls and with which key; what it refuses to use or to print."""

from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from typer.core import TyperGroup
from typer.main import get_command

from deploy.cli.__main__ import MODULES, program
from deploy.cli.generate import MOST_BATCH, MOST_RATE, TrafficPace, events, generate
from deploy.cli.send import typed
from deploy.cli.tail_remote import ShownRows
from deploy.cli.trigger import made_up, trigger
from deploy.client.api import pause_s
from deploy.client.config import ClientOptions, ConfigError, api_access, config_file
from deploy.client.output import printable
from deploy.client.session import OPTIONS, split_shared

REMOTE = "https://events.example.com"


def profiles(tmp_path: Path, text: str, mode: int = 0o600) -> dict[str, str]:
    environ = {"HOME": str(tmp_path)}
    path = config_file(environ)
    path.parent.mkdir(parents=True)
    path.write_text(text)
    path.chmod(mode)
    return environ


def test_without_anything_said_it_is_the_stack_on_this_machine(tmp_path: Path) -> None:
    access = api_access(ClientOptions(), {"HOME": str(tmp_path)})
    assert (access.url, access.key) == ("http://127.0.0.1:8000", "sk_dev_local")


def test_options_go_before_the_environment_and_that_before_a_profile(tmp_path: Path) -> None:
    environ = profiles(tmp_path, f'[default]\nurl = "{REMOTE}/profile/"\nkey = "sk_profile"\nenvironment = "staging"\n')
    access = api_access(ClientOptions(), environ)
    assert (access.url, access.key, access.environment) == (f"{REMOTE}/profile", "sk_profile", "staging")
    environ |= {"HEADWATER_URL": f"{REMOTE}/env", "HEADWATER_KEY": " sk_env\n"}
    access = api_access(ClientOptions(), environ)
    assert (access.url, access.key) == (f"{REMOTE}/env", "sk_env")
    access = api_access(ClientOptions(url=REMOTE, key="sk_option", environment="test"), environ)
    assert (access.url, access.key, access.environment) == (REMOTE, "sk_option", "test")


def test_a_key_file_is_read_if_only_its_owner_may(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("sk_file\n")
    file.chmod(0o600)
    environ = {"HOME": str(tmp_path), "HEADWATER_URL": REMOTE, "HEADWATER_KEY_FILE": str(file)}
    assert api_access(ClientOptions(), environ).key == "sk_file"
    file.chmod(0o640)
    with pytest.raises(ConfigError, match="chmod 600"):
        api_access(ClientOptions(), environ)


def test_the_published_key_goes_to_no_other_machine(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"no key for {REMOTE}"):
        api_access(ClientOptions(url=REMOTE), {"HOME": str(tmp_path)})


def test_a_key_is_in_no_text_that_is_printed(tmp_path: Path) -> None:
    options = ClientOptions(url=REMOTE, key="sk_secret value")
    assert "sk_secret" not in repr(options)
    assert "sk_one" not in repr(api_access(ClientOptions(url=REMOTE, key="sk_one"), {"HOME": str(tmp_path)}))
    with pytest.raises(ConfigError) as refused:
        api_access(options, {"HOME": str(tmp_path)})
    assert "sk_secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "profile", "reason"),
    [
        ('[default]\nurl = "https://x"\n', "production", "no profile 'production' .* there are: default"),
        ("[default\n", None, "config.toml"),
        ('[default]\nulr = "https://x"\n', None, "ulr is not one of"),
        ("[default]\nurl = 5\n", None, "url is not one of"),
        ('default = "x"\n', None, "no profile"),
        ('[default]\nurl = "ftp://x"\n', None, "is no address"),
        ('[default]\nurl = "https://user:pw@x"\n', None, "holds a password"),
    ],
)
def test_a_wrong_profile_is_named(tmp_path: Path, text: str, profile: str | None, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        api_access(ClientOptions(profile=profile), profiles(tmp_path, text))


def test_a_file_with_keys_that_others_may_read_is_not_used(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="others may read it"):
        api_access(ClientOptions(), profiles(tmp_path, '[default]\nkey = "sk_x"\n', 0o644))


def test_shared_options_may_stand_anywhere() -> None:
    options, left = split_shared(["keys", "--json", "list", "--url=http://x", "--profile", "p", "-v"])
    assert (options.as_json, options.url, options.profile, left) == (True, "http://x", "p", ["keys", "list", "-v"])
    assert split_shared(["send", "x", "--", "--json"]) == (ClientOptions(), ["send", "x", "--", "--json"])
    with pytest.raises(ValueError, match="--key needs a value"):
        split_shared(["keys", "list", "--key"])


@pytest.mark.parametrize(
    ("assignment", "read"),
    [
        ("total=149", ("total", 149)),
        ("total=1.5", ("total", 1.5)),
        ("paid=true", ("paid", True)),
        ("zip=01067", ("zip", "01067")),
        ("note=", ("note", "")),
        ("note=a=b", ("note", "a=b")),
        ('text="quoted"', ("text", '"quoted"')),
        ("list=[1]", ("list", "[1]")),
        ("list:=[1]", ("list", [1])),
        ('number:="5"', ("number", "5")),
    ],
)
def test_a_property_on_the_command_line(assignment: str, read: tuple[str, object]) -> None:
    assert typed(assignment) == read


@pytest.mark.parametrize("assignment", ["total", "=5", "list:=[1", ":=1"])
def test_a_property_that_cannot_be_read_is_refused(assignment: str) -> None:
    with pytest.raises(ConfigError, match="--set"):
        typed(assignment)


def test_pauses_follow_the_api_and_are_bounded() -> None:
    assert pause_s(0, "") == 0.25
    assert pause_s(0, "3") == 3
    assert pause_s(20, "") == pause_s(0, "99999") == 10
    assert pause_s(1, "soon") == 0.5


def test_what_comes_from_outside_does_not_reach_the_terminal_as_it_is() -> None:
    assert printable("a\x1b[31mb\u202ec\x00") == "a\ufffd[31mb\ufffdc\ufffd"


def commands_of(word: str) -> list[str]:
    group = get_command(program(word))
    assert isinstance(group, TyperGroup)
    return sorted(group.commands)


@pytest.mark.parametrize("names", MODULES.values())
def test_a_module_is_loaded_for_its_commands_alone(names: tuple[str, ...]) -> None:
    for name in names:
        assert commands_of(name) == sorted(names)


def test_every_command_is_in_the_help() -> None:
    assert commands_of("nonsense") == sorted(name for names in MODULES.values() for name in names)


def test_what_a_remote_tail_may_miss_is_told() -> None:
    rows, at = ShownRows(), "2026-11-01T12:00:00.000Z"
    assert list(rows.rows({"kind": "hidden", "at": at, "rows": 12})) == [{"kind": "hidden", "at": at, "rows": 12}]
    assert list(rows.rows({"kind": "alive", "at": at})) == []
    refused = {"kind": "refused", "id": "r1", "at": at}
    assert list(rows.rows(refused)) == [refused]
    assert list(rows.rows(refused)) == []
    gap = {"kind": "gap", "at": at, "reason": "behind"}
    assert list(rows.rows(gap)) == [{**gap, "since": at}]


def test_made_up_traffic_is_the_same_for_a_seed_and_is_of_so_many_people() -> None:
    some, same, other = (list(islice(events(20, seed), 500)) for seed in (1, 1, 2))
    assert some == same != other
    assert {row["type"] for row in some} == {"page_viewed", "product_added", "signed_up", "order_completed"}
    people = {row.get("external_id") or row["anonymous_id"].replace("-browser", "") for row in some}
    assert len(people) == 20
    signed = [row for row in some if row["type"] == "signed_up"]
    assert len({row["external_id"] for row in signed}) == len(signed)
    assert all(row["anonymous_id"].endswith(row["external_id"].removeprefix("demo")) for row in signed)
    orders = [row["properties"]["order_id"] for row in some if row["type"] == "order_completed"]
    assert len(set(orders)) == len(orders)


def test_made_up_traffic_goes_to_a_named_environment_of_another_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADWATER_KEY", "sk_x")
    token = OPTIONS.set(ClientOptions(url=REMOTE))
    try:
        with pytest.raises(ConfigError, match="--environment demo"):
            generate(1, 1, "1s", 1)
    finally:
        OPTIONS.reset(token)


@pytest.mark.parametrize("option", [{"user_id": "u1"}, {"set_": ["total=1"]}, {"sync": True}], ids=str)
def test_an_example_for_a_webhook_takes_no_options_of_the_pipeline(option: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="--user-id, --set and --sync"):
        trigger("order_completed", webhook="whk_1", **option)


def test_made_up_traffic_keeps_its_rate_and_fits_into_requests() -> None:
    steady = TrafficPace(20)
    assert sum(steady.due(step / 5) for step in range(50)) == 200
    stalled = TrafficPace(20)
    first = stalled.due(0.0)
    assert (first, stalled.due(60.0), stalled.due(60.2)) == (4, 20, 4), "a minute is not made up for"
    assert TrafficPace(MOST_RATE).due(5.0) == MOST_BATCH


def test_an_example_event_has_the_names_and_types_of_the_last_one_and_none_of_its_values() -> None:
    last = {
        "email": "eve@example.com",
        "total": 149.5,
        "paid": True,
        "note": None,
        "items": [{"sku": "s1"}, {"sku": "s2"}],
    }
    made = {"email": "example", "total": 1, "paid": True, "note": None, "items": [{"sku": "example"}]}
    assert made_up(last) == made
