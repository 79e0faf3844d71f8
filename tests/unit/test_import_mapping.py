"""What columns become: guessed names and types, what was said, what no mapping can be."""

from collections.abc import Sequence
from typing import Any

import pytest

from deploy.cli.imports.mapping import CONTACTS, EVENTS, ImportColumn, Mapper, MappingError, guess
from deploy.cli.imports.plan import ImportPlan, chosen
from deploy.client.config import ConfigError


def guessed(kind: str, columns: Sequence[str], *samples: Sequence[Any], **options: Any) -> list[ImportColumn]:
    return guess(kind, columns, samples, is_text=True, **{"chosen": {}, **options})


def targets(columns: list[ImportColumn]) -> dict[str, str]:
    return {column.name: column.target for column in columns}


def test_names_are_compared_without_case_spaces_and_signs() -> None:
    columns = guessed(
        CONTACTS, ["User ID", "E-Mail", "PHONE_NUMBER", "Updated at", "Plan", "consent.sms", "opt_in news"]
    )
    assert targets(columns) == {
        "User ID": "external_id",
        "E-Mail": "email",
        "PHONE_NUMBER": "phone",
        "Updated at": "timestamp",
        "Plan": "attributes.Plan",
        "consent.sms": "consents.sms",
        "opt_in news": "attributes.opt_in news",
    }
    columns = guessed(EVENTS, ["Event Name", "userId", "date", "total", "messageId"])
    assert list(targets(columns).values()) == ["type", "external_id", "timestamp", "properties.total", "event_id"]


def test_one_field_is_of_one_column_and_what_is_said_goes_first() -> None:
    columns = guessed(CONTACTS, ["email", "mail", "uid"], chosen={"email": "mail"})
    assert targets(columns) == {"email": "attributes.email", "mail": "email", "uid": "external_id"}
    assert targets(guessed(CONTACTS, ["email", "x"], ignored=["x"]))["x"] == ""


@pytest.mark.parametrize(
    ("values", "form"),
    [
        (["1", "2.5", "-3"], "number"),
        (["1", "x"], "text"),
        (["007", "008"], "text"),
        (["+4915112345"], "text"),
        (["1e5"], "text"),
        (["1234567890123456"], "text"),
        (["true", "False"], "flag"),
        (["yes", "no"], "text"),
        (["[1]", '{"a": 1}'], "json"),
        (["[1]", "[x"], "text"),
        ([], "text"),
    ],
)
def test_a_column_is_of_a_type_only_where_all_of_it_is(values: list[str], form: str) -> None:
    assert guessed(CONTACTS, ["x"], *[[value] for value in values])[0].form == form


def test_a_column_can_be_kept_as_text() -> None:
    assert guessed(CONTACTS, ["x"], ["1"], text=["x"])[0].form == "text"


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"chosen": {"email": "Mail"}}, "no column 'Mail'; there are: email, x"),
        ({"chosen": {"emial": "x"}}, "'emial' is no field of contacts"),
        ({"chosen": {"attributes.": "x"}}, "is no field"),
        ({"ignored": ["y"]}, "no column 'y'"),
        ({"text": ["y"]}, "no column 'y'"),
    ],
)
def test_a_mapping_that_cannot_be_meant_is_named(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(MappingError, match=reason):
        guessed(CONTACTS, ["email", "x"], **options)


def test_a_row_of_csv() -> None:
    columns = guessed(
        CONTACTS,
        ["uid", "plan", "visits", "consents.email_marketing", "x"],
        ["u", "pro", "1", "", "1"],
        ignored=["x"],
    )
    mapper = Mapper(CONTACTS, columns, {"timestamp": "2026-11-01"})
    assert mapper.of_list(["u1", "pro", "3", "Yes", "9"]) == {
        "timestamp": "2026-11-01",
        "external_id": "u1",
        "attributes": {"plan": "pro", "visits": 3},
        "consents": {"email_marketing": True},
    }
    # what is empty is not said; what is of another type than the first rows stays what it is, for the API to judge
    row = mapper.of_list(["u1", "", "many", "perhaps", ""])
    assert row["attributes"] == {"visits": "many"}
    assert row["consents"] == {"email_marketing": "perhaps"}


def test_a_row_of_ndjson_keeps_the_api_s_own_shape_and_names_that_come_late() -> None:
    names = ["user_id", "type", "properties", "total"]
    columns = guess(EVENTS, names, [], is_text=False, chosen={})
    mapper = Mapper(EVENTS, columns, {"timestamp": "2026-11-01"})
    row = mapper.of_object(
        {"user_id": 5, "type": "t", "properties": {"a": 1}, "total": 2, "late": [3], "timestamp": "2026-01-01"}
    )
    assert row == {
        "user_id": 5,
        "type": "t",
        "timestamp": "2026-11-01",
        "properties": {"a": 1, "total": 2, "late": [3], "timestamp": "2026-01-01"},
    }
    # what is no object stays none: the API refuses the row and says so
    assert mapper.of_object({"user_id": 5, "type": "t", "properties": 7, "total": 2})["properties"] == 7


def test_nobody_and_nothing_are_told_before_a_row_is_sent() -> None:
    with pytest.raises(MappingError, match="no column identifies the contact"):
        Mapper(CONTACTS, guessed(CONTACTS, ["plan"]), {})
    with pytest.raises(MappingError, match="no column is the event's type"):
        Mapper(EVENTS, guessed(EVENTS, ["email"]), {})
    Mapper(EVENTS, guessed(EVENTS, ["email"]), {"type": "signed_up"})


@pytest.mark.parametrize(
    "wrong", [{"format": "xml"}, {"delimiter": "::"}, {"encoding": "klingon"}, {"as_of": "yesterday"}]
)
def test_wrong_words_are_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=f"--{next(iter(wrong)).replace('_', '-')}"):
        ImportPlan(kind=CONTACTS, **wrong)  # type: ignore[arg-type]  # the words are text


@pytest.mark.parametrize("words", [["email"], ["=x"], ["email="], ["email=a", "email=b"]])
def test_a_pair_that_is_none_is_refused(words: list[str]) -> None:
    with pytest.raises(ConfigError, match="--map"):
        chosen(words)
