"""The doctor's archive: what is in it helps; nothing secret or personal is, however it got into findings and logs."""

import stat
import tarfile
from pathlib import Path

import orjson
import pytest

from deploy.cli.doctor.bundle import Redactor, settings_of, troubles_of, write_bundle
from deploy.client.config import ConfigError
from schemas.settings import Settings

SECRETS = (
    *("sk_live_9f8e7d6c5b", "pk_live_1a2b3c", "whsec_MfKQ9r8GKYqrTwjU", "hunter2-kafka", "s3al-ing", "db-passw0rd"),
    *("ada.lovelace@example.com", "+49 170 1234567", "cnt_0123456789abcdef", "evt_customer_chose_this", "10.20.30.40"),
    *("kafka-7.internal.acme.example", "2001:db8::8a2e:370:7334", "Lovelace"),
)
LOG = """2026-01-01T10:00:00.000Z WARNING ingest.app: the key sk_live_9f8e7d6c5b of Lovelace is unknown
2026-01-01T10:00:01.000Z ERROR processors.runtime: evt_customer_chose_this
Traceback (most recent call last):
  File "/home/ada.lovelace/src/processors/runtime/worker.py", line 31, in run
    raise ValueError("ada.lovelace@example.com")
  File "/usr/lib/python3.11/asyncio/tasks.py", line 1, in x
ValueError: ada.lovelace@example.com calls +49 170 1234567
2026-01-01T10:00:02.000Z INFO ingest.app: cnt_0123456789abcdef from 10.20.30.40 and 2001:db8::8a2e:370:7334
{"level":"ERROR","exception":"Traceback (most recent call last):\\n\\
 File \\"/srv/sinks/loop.py\\", line 7, in y\\nKafkaError: hunter2-kafka"}
"""


def stack(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home").model_copy(
        update={
            "kafka_bootstrap_servers": "kafka-7.internal.acme.example:9092",
            "kafka_password": "hunter2-kafka",
            "secret_key": "s3al-ing",
            "clickhouse_url": "https://user:db-passw0rd@ch.acme.example:8443",
        }
    )


def members(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as archive:
        files = {member.name: archive.extractfile(member) for member in archive.getmembers()}
        return {name: file.read() for name, file in files.items() if file is not None}


def test_nothing_secret_and_nothing_personal_is_in_it(tmp_path: Path) -> None:
    settings, logs = stack(tmp_path), tmp_path / "home" / "logs"
    logs.mkdir(parents=True)
    (logs / "edge.log").write_text(LOG)
    (logs / "empty.log").write_text("")
    what = f"{tmp_path}/home: {', '.join(s for s in SECRETS if s != 'Lovelace')} at ch.acme.example, /root/x.pem"
    finding = {"check": "topics", "state": "fail", "what": what, "remedy": f"headwater status # {tmp_path}"}
    out = tmp_path / "bundle.tar.gz"
    write_bundle(out, settings, logs, [finding], ["sk_live_9f8e7d6c5b"])
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    files = members(out)
    for secret in (*SECRETS, *(word.lower() for word in SECRETS), "acme", "x.pem", str(tmp_path / "home")):
        assert [name for name, data in files.items() if secret.encode() in data] == [], secret
    (kept,) = orjson.loads(files["headwater-doctor/findings.json"])
    assert (kept["check"], kept["state"]) == ("topics", "fail")
    assert "headwater status" in kept["remedy"]
    log = orjson.loads(files["headwater-doctor/logs.json"])
    assert log["edge"]["errors"] == [
        {"error": "ValueError", "at": ["processors/runtime/worker.py:31"], "times": 1},
        {"error": "KafkaError", "at": ["sinks/loop.py:7"], "times": 1},
    ]
    assert log["edge"]["levels"] == {"WARNING": 1, "ERROR": 2, "INFO": 1}
    assert orjson.loads(files["headwater-doctor/versions.json"])["packages"]["headwater"]
    with pytest.raises(ConfigError, match="bundle"):
        write_bundle(out, settings, logs, [], [])


def test_of_settings_numbers_are_told_and_texts_never(tmp_path: Path) -> None:
    shown = settings_of(stack(tmp_path))
    assert shown["port"] == 8000
    assert (shown["kafka_password"], shown["clickhouse_url"], shown["home"]) == ("set", "set", "set")
    assert shown["kafka_password_file"] == "default"
    assert {type(value) for value in shown.values()} <= {bool, int, float, str}
    assert {value for value in shown.values() if isinstance(value, str)} == {"set", "default"}


def test_what_helps_is_left(tmp_path: Path) -> None:
    redactor = Redactor(Settings(home=tmp_path), [])
    for text in (
        "no answer within 4 s",
        "topic events has 4 partitions, the settings say 8",
        "port 8000 on 127.0.0.1 is taken by process 4711",
        "KafkaError: NotLeaderForPartition",
    ):
        assert redactor.text(text) == text


def test_a_log_of_anything_is_read_in_linear_time() -> None:
    for text in ("Traceback (most recent call last)" * 20_000, "A" * 1_000_000, "a." * 500_000, 'File "' * 150_000):
        assert troubles_of(text)["levels"] == {}
