"""Every parser that reads a client's text: twice the text costs twice the time, whatever the text holds."""

import contextlib
import time
from collections.abc import Callable
from typing import Any

import pytest

from ingest.dialects import launch
from ingest.http import xml_codec
from schemas import times
from schemas.api import wait_parameters
from schemas.control import access
from schemas.errors import ApiError
from schemas.records import identity

SIZE = 150_000
Make = Callable[[int], Any]
WORST: dict[str, tuple[Callable[[Any], Any], Make]] = {
    "XML: one tag again and again": (xml_codec.loads, lambda n: b"<xml>" + b"<a/>" * (n // 6) + b"</xml>"),
    "XML: arrays": (xml_codec.loads, lambda n: b"<xml>" + b"<a array='true'/>" * (n // 17) + b"</xml>"),
    "XML: tags of many names": (
        xml_codec.loads,
        lambda n: b"<xml>" + b"".join(b"<a%d/>" % i for i in range(n // 10)) + b"</xml>",
    ),
    "XML: attributes": (
        xml_codec.loads,
        lambda n: b"<xml " + b" ".join(b'a%d="1"' % i for i in range(n // 10)) + b"></xml>",
    ),
    "XML: namespaces": (
        xml_codec.loads,
        lambda n: b"<xml>" + b"".join(b'<a xmlns="%d"/>' % i for i in range(n // 20)) + b"</xml>",
    ),
    "XML: line ends": (xml_codec.loads, lambda n: b"<xml><a>" + b"\r\n" * (n // 2) + b"</a></xml>"),
    "XML: a comment without an end": (xml_codec.loads, lambda n: b"<xml><!--" + b"- " * (n // 2)),
    "XML: CDATA": (xml_codec.loads, lambda n: b"<xml>" + b"<![CDATA[]]>" * (n // 12) + b"</xml>"),
    "XML: a long number": (xml_codec.loads, lambda n: b"<xml><a>" + b"1" * n + b"</a></xml>"),
    "a data URI of parameters": (launch._DATA_URI.match, lambda n: "data:" + ";a=" * (n // 3)),
    "a data URI of one parameter": (launch._DATA_URI.match, lambda n: "data:;a=" + "b" * n),
    "a data URI of base64 marks": (launch._DATA_URI.match, lambda n: "data:" + ";base64=" * (n // 8)),
    "a date with digits": (launch._RFC3339.match, lambda n: "2026-01-01T00:00:00." + "1" * n),
    "a timestamp": (times.parse_time, lambda n: "2026-01-01T00:00:00." + "1" * n),
    "a duration": (times.parse_duration, lambda n: "1" * n + "s"),
    "credentials": (access._user_of, lambda n: b"A" * n),
    "an identifier of zeros": (identity.is_nobody, lambda n: "0-" * (n // 2) + "x"),
    "an identifier of quotes": (identity.is_nobody, lambda n: "'" * n + "x" + " " * n),
}


def _cost(parse: Callable[[Any], Any], text: Any) -> float:
    best = float("inf")
    for _ in range(3):
        start = time.process_time()
        with contextlib.suppress(ApiError):
            parse(text)
        best = min(best, time.process_time() - start)
    return best


@pytest.mark.parametrize(("parse", "make"), WORST.values(), ids=WORST)
def test_the_cost_is_linear_in_the_size(parse: Callable[[Any], Any], make: Make) -> None:
    small, large = _cost(parse, make(SIZE)), _cost(parse, make(2 * SIZE))
    assert large < 3 * small + 0.02
    assert large < 1.0


@pytest.mark.parametrize(
    "text",
    ["+49" + "1" * 509, "+1" + "(1)" * 170, "+1 " + "1~" * 250, "+1234567890;isub=" + "1" * 490, "(" * 512],
    ids=lambda text: str(text[:12]),
)
def test_no_phone_number_costs_more_than_a_few_milliseconds(text: str) -> None:
    assert _cost(lambda value: identity.normalise("phone", value), text[: identity.MAX_LENGTH]) < 0.02


@pytest.mark.parametrize("read", [wait_parameters.sync_timeout_ms, wait_parameters.timeout_ms])
@pytest.mark.parametrize("text", ["000010000", "10000" + "0" * 10, "0000100000000000", "1" * 5000])
def test_a_time_to_wait_is_bounded_however_it_is_written(read: Callable[[dict[str, str]], int], text: str) -> None:
    try:
        waits = read({"sync": "true", "timeout_ms": text})
    except ApiError as refused:
        assert refused.param == "timeout_ms"
    else:
        assert waits <= 10_000
