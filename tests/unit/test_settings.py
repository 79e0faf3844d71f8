"""What is wrong in the environment is named by its variable; published keys do not meet the network."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.local.seed import records
from schemas.control import control_state
from schemas.control.development import check_keys, is_loopback
from schemas.errors import CannotStart
from schemas.settings import Settings, strangers
from tests.support.services import ROOT

NOW_MS = 1_790_000_000_000


def test_a_misspelt_variable_is_told_with_the_nearest_one() -> None:
    found = strangers(["HEADWATER_PARTITONS", "HEADWATER_PORT", "KAFKA_BOOTSTRAP_SERVERS", "HEADWATER_KEY", "PATH"])
    assert found == [("HEADWATER_PARTITONS", "HEADWATER_PARTITIONS")]
    assert strangers(["HEADWATER_QQQQ"]) == [("HEADWATER_QQQQ", "")]


@pytest.mark.parametrize("module", ["ingest", "processors identity", "sinks query", "deploy.local status"])
def test_wrong_values_are_named_by_their_variables_without_a_traceback(module: str, tmp_path: Path) -> None:
    wrong = {"HEADWATER_PARTITIONS": "many", "HEADWATER_PORT": "0", "HEADWATER_PARTITONS": "4"}
    env = os.environ | wrong | {"HEADWATER_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-m", *module.split()], cwd=ROOT, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    lines = done.stderr.splitlines()
    assert lines[0] == "HEADWATER_PARTITONS is no setting and has no effect; do you mean HEADWATER_PARTITIONS?"
    assert [line.split(":")[0] for line in lines[1:]] == ["HEADWATER_PORT=0", "HEADWATER_PARTITIONS=many"]


@pytest.mark.parametrize("word", ["up", "down", "status", "run"])
def test_a_home_that_cannot_be_written_to_is_one_line(word: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    env = os.environ | {"HEADWATER_HOME": str(tmp_path / "file" / "home")}
    done = subprocess.run(
        [sys.executable, "-m", "deploy.local", word], cwd=ROOT, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"HEADWATER_HOME={tmp_path / 'file' / 'home'} cannot be used")


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        *((host, True) for host in ("127.0.0.1", "127.8.8.8", "::1", "LocalHost")),
        *((host, False) for host in ("0.0.0.0", "::", "10.1.2.3", "localhost.example.com")),
    ],
)
def test_only_this_machine_reaches_loopback(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


def test_published_keys_do_not_meet_the_network() -> None:
    state = control_state.ControlState()
    for kind, record in records():
        state.apply(*control_state.encode(kind, record))
    public = Settings(host="10.1.2.3")
    with pytest.raises(CannotStart, match=r"HEADWATER_HOST=10\.1\.2\.3 .*sk_dev_local and pk_dev_local"):
        check_keys(state, public, NOW_MS)
    check_keys(state, Settings(), NOW_MS)
    check_keys(state, Settings(host="10.1.2.3", public_dev_keys=True), NOW_MS)
    for kind, record in records():
        if kind == "key":
            state.apply(*control_state.encode(kind, record.model_copy(update={"deleted": True})))
    check_keys(state, public, NOW_MS)
