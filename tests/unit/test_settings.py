"""What is wrong in the environment is named by its variable; published keys do not meet the network."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from deploy.local.seed import records
from schemas.control import control_state
from schemas.control.development import check_keys, is_loopback
from schemas.errors import CannotStart
from schemas.service.kafka_auth import connection
from schemas.settings import Settings, complaints, strangers
from tests.support.services import ROOT

NOW_MS = 1_790_000_000_000


def test_a_misspelt_variable_is_told_with_the_nearest_one() -> None:
    unknown = strangers(["HEADWATER_PARTITONS", "HEADWATER_PORT", "KAFKA_BOOTSTRAP_SERVERS", "HEADWATER_KEY", "PATH"])
    assert unknown == [("HEADWATER_PARTITONS", "HEADWATER_PARTITIONS")]
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


@pytest.mark.parametrize("module", ["ingest", "processors segments", "sinks clickhouse", "deploy.provision"])
def test_a_certificate_that_is_not_there_ends_a_process_with_a_line(module: str, tmp_path: Path) -> None:
    given = {"HEADWATER_KAFKA_SECURITY_PROTOCOL": "SSL", "HEADWATER_KAFKA_CA_FILE": "/nowhere/ca.pem"}
    env = os.environ | given | {"HEADWATER_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-m", *module.split()], cwd=ROOT, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    (line,) = done.stderr.splitlines()
    assert line.startswith("HEADWATER_KAFKA_CA_FILE=/nowhere/ca.pem: ")


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
    with pytest.raises(CannotStart, match=r"HEADWATER_QUERY_HOST=0\.0\.0\.0 .*sk_dev_local"):
        check_keys(state, Settings(query_host="0.0.0.0"), NOW_MS, "query_host")
    check_keys(state, Settings(), NOW_MS)
    check_keys(state, Settings(host="10.1.2.3", public_dev_keys=True), NOW_MS)
    for kind, record in records():
        if kind == "key":
            state.apply(*control_state.encode(kind, record.model_copy(update={"deleted": True})))
    check_keys(state, public, NOW_MS)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"kafka_security_protocol": "SASL_SSL"}, "needs HEADWATER_KAFKA_SASL_MECHANISM"),
        ({"kafka_sasl_mechanism": "PLAIN", "kafka_username": "u", "kafka_password": "pw-1"}, "PROTOCOL=SASL_SSL"),
        (
            {"kafka_security_protocol": "SASL_SSL", "kafka_sasl_mechanism": "PLAIN", "kafka_password": "pw-1"},
            "HEADWATER_KAFKA_USERNAME",
        ),
        (
            {"kafka_security_protocol": "SASL_SSL", "kafka_sasl_mechanism": "SCRAM-SHA-512", "kafka_username": "u"},
            "HEADWATER_KAFKA_PASSWORD_FILE",
        ),
        (
            {"kafka_security_protocol": "SASL_SSL", "kafka_sasl_mechanism": "OAUTHBEARER"},
            "HEADWATER_KAFKA_TOKEN_PROVIDER",
        ),
        ({"kafka_security_protocol": "SSL", "kafka_cert_file": "/c"}, "HEADWATER_KAFKA_KEY_FILE"),
        ({"kafka_ca_file": "/ca"}, "HEADWATER_KAFKA_SECURITY_PROTOCOL=SSL"),
    ],
)
def test_what_the_security_of_kafka_lacks_is_named(given: dict[str, str], expected: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Settings(**given)  # type: ignore[arg-type]  # tests name real settings
    (line,) = complaints(refused.value)
    assert expected in line
    assert "pw-1" not in line


def test_a_password_is_not_shown(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("pw-2\n")
    options = {"kafka_security_protocol": "SASL_SSL", "kafka_sasl_mechanism": "PLAIN", "kafka_username": "u"}
    settings = Settings(**options, kafka_password="pw-1")  # type: ignore[arg-type]
    assert "pw-1" not in repr(settings)
    assert connection(settings)["sasl_plain_password"] == "pw-1"
    from_file = Settings(**options, kafka_password_file=str(tmp_path / "password"))  # type: ignore[arg-type]
    assert connection(from_file)["sasl_plain_password"] == "pw-2"


@pytest.mark.parametrize(
    ("given", "variable"),
    [
        ({"kafka_ca_file": "/nowhere/ca.pem"}, "HEADWATER_KAFKA_CA_FILE=/nowhere/ca.pem"),
        ({"kafka_cert_file": "/nowhere/c", "kafka_key_file": "/nowhere/k"}, "HEADWATER_KAFKA_CERT_FILE=/nowhere/c"),
        (
            {"kafka_sasl_mechanism": "PLAIN", "kafka_username": "u", "kafka_password_file": "/nowhere/p"},
            "HEADWATER_KAFKA_PASSWORD_FILE=/nowhere/p",
        ),
        (
            {"kafka_sasl_mechanism": "OAUTHBEARER", "kafka_token_provider": "no.such:function"},
            "HEADWATER_KAFKA_TOKEN_PROVIDER=no.such:function",
        ),
    ],
)
def test_a_file_that_is_not_there_is_named_by_its_variable(given: dict[str, str], variable: str) -> None:
    protocol = "SASL_SSL" if "kafka_sasl_mechanism" in given else "SSL"
    with pytest.raises(CannotStart, match=variable):
        connection(Settings(kafka_security_protocol=protocol, **given))  # type: ignore[arg-type]
