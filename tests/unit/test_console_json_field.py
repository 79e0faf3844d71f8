"""JSON that a person writes into a field of the console: its value, or why it cannot be sent on."""

import orjson
import pytest

from schemas.errors import ApiError
from sinks.console.pages.launches import body_of
from sinks.console.web.json_field import json_field
from sinks.console.web.render import as_json


@pytest.mark.parametrize("text", ["", "{", "NaN", '{"a": 1,}'])
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(ApiError, match="not JSON") as refused:
        json_field(text, "rule")
    assert (refused.value.code, refused.value.param) == ("invalid_json", "rule")


@pytest.mark.parametrize("depth", [253, 300, 1000])
@pytest.mark.parametrize(("opened", "closed"), [('{"a":', "}"), ("[", "]")])
def test_what_is_too_deep_to_be_written_is_refused(depth: int, opened: str, closed: str) -> None:
    with pytest.raises(ApiError, match="nested too deeply") as refused:
        body_of({"segment": "seg_1", "content": opened * depth + "1" + closed * depth})
    assert (refused.value.code, refused.value.param) == ("invalid_field", "content")


def test_a_value_that_is_taken_can_be_sent_and_shown() -> None:
    value = json_field("[" * 252 + "]" * 252, "rule")
    assert orjson.dumps({"rule": value})
    assert as_json(value)
