"""What a library repeats is written a few times; what we say is always written."""

import json
import logging
import sys

import pytest

from schemas.service import process
from schemas.settings import Settings


def record(name: str, message: str, *args: object) -> logging.LogRecord:
    return logging.LogRecord(name, logging.ERROR, "file", 1, message, args, None)


def test_a_library_that_repeats_itself_is_cut_short(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr("schemas.service.process.time.monotonic", lambda: clock[0])
    throttle = process.Throttle()
    written = [throttle.filter(record("aiokafka.consumer", "no node %s", n)) for n in range(50)]
    assert sum(written) == process.BURST
    assert throttle.filter(record("aiokafka.consumer", "something else"))
    clock[0] += process.WINDOW_S
    late = record("aiokafka.consumer", "no node %s", 7)
    assert throttle.filter(late)
    assert late.getMessage() == f"no node 7 ({50 - process.BURST} more like this were left out)"


def test_our_own_words_are_never_cut() -> None:
    throttle = process.Throttle()
    assert all(throttle.filter(record("ingest.events.endpoint", "again")) for _ in range(50))


def line_of(record: logging.LogRecord, **extra: object) -> dict[str, object]:
    for name, value in extra.items():
        setattr(record, name, value)
    text = process.JsonFormatter("identity").format(record)
    assert "\n" not in text
    return dict(json.loads(text))


def test_a_record_is_one_line_with_its_place_and_ids() -> None:
    extra = {"topic": "events", "partition": 0, "offset": 7, "workspace": "w", "event_id": "", "unknown": "x"}
    line = line_of(record("processors", "two\nlines %s", "é\ud800"), **extra)
    assert str(line.pop("at")).endswith("Z")
    assert line == {
        "level": "ERROR",
        "process": "identity",
        "logger": "processors",
        "message": "two\nlines é\ud800",
        "topic": "events",
        "partition": 0,
        "offset": 7,
        "workspace": "w",
    }


def fail(reason: str) -> None:
    raise ValueError(reason)


def test_an_exception_is_told_in_the_same_line() -> None:
    made_record = record("x", "failed")
    try:
        fail("a\nb" + "c" * 100_000)
    except ValueError:
        made_record.exc_info = sys.exc_info()
    line = line_of(made_record)
    assert str(line["error"]).startswith("ValueError: a\nb")
    assert len(str(line["traceback"])) <= process.MOST_TEXT


@pytest.mark.parametrize(
    "text",
    [
        "key sk_live_5ecret5ecret is unknown",
        "pk_5ecret",
        "sk_ab-5ecret_c-5ecret is unknown",  # keys have dashes
        "sk_dev_local5ecret",
        "no answer of https://user:5ecret@clickhouse:8123/x",
        "cannot parse '5ecret@example.com'",
        "GET /v1/contacts/email:5ecret+x@mail.example.com",
    ],
)
def test_secrets_and_addresses_are_in_no_line(text: str) -> None:
    for formatter in (process.JsonFormatter("x"), process.TextFormatter(process.TEXT)):
        text_line = formatter.format(record("x", "%s", text))
        assert "5ecret" not in text_line
        assert "…" in text_line


def test_places_and_ids_are_left_as_they_are() -> None:
    text = "quarantined events/0/12: contact cnt_abcdefghijklmnop, event evt_0193, a@b, sk_dev_local"
    assert process.without_secrets(text) == text


@pytest.mark.parametrize(("log_format", "is_json"), [("auto", True), ("json", True), ("text", False)])
def test_lines_are_json_but_on_a_terminal(log_format: str, is_json: bool, capsys: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    before = (root.handlers[:], root.level)
    try:
        process.set_up_logging(Settings(log_format=log_format, ready_file="/x/run/webhooks.ready"))
        logging.getLogger("sinks").warning("held %s", "up", extra={"request_id": "req_1"})
        output = capsys.readouterr().err.strip()
    finally:
        root.handlers[:], _ = before
        root.setLevel(before[1])
    if is_json:
        body = json.loads(output)
        assert (body["process"], body["message"], body["request_id"]) == ("webhooks", "held up", "req_1")
    else:
        assert output.endswith("WARNING sinks held up")
