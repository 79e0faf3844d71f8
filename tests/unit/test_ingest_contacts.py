"""What a body says of a contact, and whose contact a write is about."""

from typing import Any

import pytest

from ingest.contacts import parse
from schemas.api.requests.access import NewKey
from schemas.api.requests.body import checked
from schemas.api.requests.contacts import ContactEdit, ContactUpsert
from schemas.errors import ApiError
from schemas.records.records import Identifier

EMAIL = Identifier(type="email", value="a@b.c")
USER = Identifier(type="external_id", value="u")


def owner(name: str, *identifiers: Identifier, **attributes: Any) -> dict[str, Any]:
    return {"id": name, "identifiers": list(identifiers), "attributes": attributes}


def check_refused(code: str, param: str | None, call: Any, *args: Any) -> None:
    with pytest.raises(ApiError) as refused:
        call(*args)
    assert (refused.value.code, refused.value.param) == (code, param)


def test_an_upsert_is_about_the_strongest_that_is_there() -> None:
    sample, two = owner("cnt_1", USER), owner("cnt_2", EMAIL)
    assert parse.meant([USER, EMAIL], [sample, two], None) == sample
    assert parse.meant([USER, EMAIL], [None, two], None) == two
    assert parse.meant([USER, EMAIL], [None, None], None) is None


def test_an_edit_is_about_whom_it_names() -> None:
    mine, path = owner("cnt_1", EMAIL), ("email", "a@b.c")
    assert parse.meant([USER, EMAIL], [None, mine], path) == mine
    check_refused("not_found", None, parse.meant, [USER, EMAIL], [None, None], path)
    check_refused("conflict", "external_id", parse.meant, [USER, EMAIL], [owner("cnt_2"), mine], path)


def test_an_event_is_about_a_contacts_strongest_identifier() -> None:
    device = Identifier(type="device_id", value="d")
    assert parse.anchor(owner("cnt_1", USER, EMAIL)) == ("external_id", "u")
    assert parse.anchor(owner("cnt_1", device)) == ("id", "cnt_1"), "a device ties nobody to anything"
    assert parse.anchor(owner("cnt_1")) == ("id", "cnt_1")


def test_a_contact_has_room_for_a_thousand_attributes() -> None:
    full = owner("cnt_1", **{f"a{n}": n for n in range(1000)})
    parse.check_room(ContactEdit(attributes={"a0": "new"}), full)
    parse.check_room(ContactEdit(attributes={"a0": None, "b": 1}), full)
    check_refused("invalid_field", "attributes", parse.check_room, ContactEdit(attributes={"b": 1}), full)
    large = owner("cnt_1", a="x" * 700_000)
    parse.check_room(ContactEdit(attributes={"a": "y"}), large)
    check_refused("too_large", "attributes", parse.check_room, ContactEdit(attributes={"b": "x" * 100_000}), large)


@pytest.mark.parametrize(
    ("value", "code", "param"),
    [
        ("text", "invalid_type", None),
        ({"email": 1.5}, "invalid_field", "email"),
        ({"devices": [{"device_id": "d"}, {"device_id": 1}]}, "invalid_field", "devices[1].device_id"),
        ({"consents": {"sms": 1}}, "invalid_field", "consents.sms"),
        ({"consents": {"str": "no"}}, "invalid_field", "consents.str"),
        ({"colour": 1, "email": []}, "unknown_field", "colour"),
    ],
)
def test_a_wrong_field_is_named(value: Any, code: str, param: str | None) -> None:
    check_refused(code, param, checked, ContactUpsert, value)


def test_a_missing_field_is_named() -> None:
    check_refused("missing_field", "name", checked, NewKey, {})
