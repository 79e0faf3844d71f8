"""The form in which e-mail addresses and phone numbers are compared, wherever and however they come in."""

import unicodedata
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.records import identity
from tests.support.edge import PUBLIC, SECRET, MemoryLog, client_of, memory_edge

SAME_EMAILS = [
    ("jose\u0301@example.com", "jos\u00e9@example.com"),
    ("\u200bbob@example.com", "bob@example.com"),
    ("bob@example.com\ufeff", "bob@example.com"),
    ("\ufeffbob@example.com", "bob@example.com"),
    ("bob\u200b@example.com", "bob@example.com"),
    ("bo\u00adb@example.com", "bob@example.com"),
    (" Bob@Example.COM\u00a0", "bob@example.com"),
    ("a@B\u00dcCHER.example", "a@xn--bcher-kva.example"),
    ("a@bu\u0308cher.example", "a@xn--bcher-kva.example"),
    ("a@xn--bcher-kva.example", "a@xn--bcher-kva.example"),
    ("a@\uff45xample\u3002com", "a@example.com"),
    ("\u00c9@example.com", "\u00e9@example.com"),
    ("a@\U0001f499.example", "a@\U0001f499.example"),
]
SAME_PHONES = [
    ("+5215512345678", "+525512345678"),
    ("+52 1 55 1234 5678", "+525512345678"),
    ("5215512345678", "+525512345678"),
    ("+525512345678", "+525512345678"),
    ("447700900123", "+447700900123"),
    ("44 7700 900123", "+447700900123"),
    ("79161234567", "+79161234567"),
    ("00447700900123", "+447700900123"),
    ("tel:+447700900123", "+447700900123"),
]


@pytest.mark.parametrize(("written", "compared"), SAME_EMAILS, ids=ascii)
def test_one_address_has_one_form(written: str, compared: str) -> None:
    assert identity.normalise("email", written) == compared


@pytest.mark.parametrize(
    "text", ["\u200b@x.com", "a\u00a0b@x.com", "a@\u2003", "a b@x.com", "\ufeff", "@", "a@"], ids=ascii
)
def test_what_is_no_address_is_none(text: str) -> None:
    assert identity.normalise("email", text) is None


@pytest.mark.parametrize(("written", "compared"), SAME_PHONES)
def test_one_number_has_one_form(written: str, compared: str) -> None:
    assert identity.normalise("phone", written) == compared


def test_a_brazilian_number_without_its_ninth_digit_is_another() -> None:
    assert identity.normalise("phone", "+5511991234567") != identity.normalise("phone", "+551191234567")


NO_PHONES = [
    "+447700900123;ext=1",
    "+44 7700 900123 x12",
    "tel:+447700900123;ext=2",
    "07700900123",  # national: the country is not said
    "2025550123",
    "4155550123",
    "11991234567",
    "13812345678",
    "1234567",
    "123456",
    "\u0664\u0664\u0667\u0667\u0660\u0660\u0669\u0660\u0660\u0661\u0662\u0663",
]


@pytest.mark.parametrize("text", NO_PHONES, ids=ascii)
def test_a_number_that_is_not_international_or_has_an_extension_identifies_nobody(text: str) -> None:
    assert identity.normalise("phone", text) is None


@given(st.text(max_size=40), st.text(max_size=40), st.sampled_from(["email", "phone"]))
def test_the_form_is_its_own_form_and_knows_no_invisible_characters(left: str, right: str, kind: str) -> None:
    normal = identity.normalise(kind, f"{left}@{right}" if kind == "email" else left)
    if normal is not None:
        assert identity.normalise(kind, normal) == normal
        assert not any(unicodedata.category(c) == "Cf" or c.isspace() for c in normal)
        assert normal == unicodedata.normalize("NFC", normal)


@given(st.from_regex(r"[A-Za-z0-9._+-]{1,20}@[A-Za-z0-9-]{1,20}\.[a-z]{2,6}", fullmatch=True))
def test_an_address_in_ascii_is_trimmed_and_in_lower_case_and_nothing_else(text: str) -> None:
    assert identity.normalise("email", f" {text} ") == text.lower()


@pytest.mark.parametrize("kind", ["external_id", "anonymous_id", "device_id", "crm_id"])
def test_other_identifiers_stay_as_they_are(kind: str) -> None:
    for value in ("jose\u0301@example.com", "\u200bbob", " A ", "447700900123"):
        assert identity.normalise(kind, value) == value


def _calls(email: Any, phone: Any) -> list[tuple[str, Any, dict[str, str]]]:
    """Each place of each dialect that says a person's address and phone."""
    both = {"email": email, "phone": phone}
    posthog = {"api_key": "pk_dev_local", "event": "$identify", "distinct_id": "u"}
    return [
        ("/v1/events", {"type": "e", "user_id": "u", "email": email, "phone": phone}, SECRET),
        ("/v1/contacts/batch", {"contacts": [{"external_id": "u", **both}]}, SECRET),
        ("/v1/identify", {"userId": "u", "traits": both}, PUBLIC),
        ("/v1/identify", {"userId": "u", "context": {"traits": both}}, PUBLIC),
        ("/batch/", posthog | {"properties": {"$set": both}}, {}),
        ("/batch/", posthog | {"$set_once": both, "properties": {}}, {}),
        ("/identify", {"environment": "production", "distinct_id": "u", "traits": both}, PUBLIC),
        ("/api/client/identify", {"external_id": "u", **both}, PUBLIC),
        ("/api/client/identify", {"external_id": "u", "data": both}, PUBLIC),
        ("/api/client/events", [{"name": "e", "external_id": "u", "user": both}], PUBLIC),
        (
            "/api/v1.1/profiles/import",
            {"db_id": 1, "matching": "email", "email": email, "data": {"phones": [phone]}},
            SECRET,
        ),
    ]


async def _identifiers(home: Path, path: str, content: Any, key: dict[str, str]) -> set[tuple[str, str]]:
    log = MemoryLog()
    raw = content if isinstance(content, bytes) else orjson.dumps(content)
    kind = "application/xml" if isinstance(content, bytes) else "application/json"
    async with client_of(memory_edge(home, log)) as client:
        answer = await client.post(path, content=raw, headers={"Content-Type": kind} | key)
    assert answer.status_code < 300, answer.text
    return {(identifier["type"], identifier["value"]) for event in log.events for identifier in event["identifiers"]}


@pytest.mark.parametrize(
    "email", ["jose\u0301@bu\u0308cher.example", "\u200bJOS\u00c9@xn--bcher-kva.example"], ids=ascii
)
@pytest.mark.parametrize("phone", ["+5215512345678", "525512345678"])
async def test_every_dialect_compares_addresses_in_one_form(email: str, phone: str, tmp_path: Path) -> None:
    expected = {("email", "jos\u00e9@xn--bcher-kva.example"), ("phone", "+525512345678")}
    for number, (path, content, key) in enumerate(_calls(email, phone)):
        assert await _identifiers(tmp_path / str(number), path, content, key) >= expected, (path, content)


async def test_digits_that_came_as_a_number_are_a_phone(tmp_path: Path) -> None:
    expected = ("phone", "+447700900123")
    for number, (path, content, key) in enumerate(_calls("a@example.com", 447700900123)):
        assert expected in await _identifiers(tmp_path / str(number), path, content, key), (path, content)
    head = b"<xml><token>sk_dev_local</token><db_id>1</db_id>"
    imports = [
        head + b"<matching>email</matching><email>u1@example.com</email>"
        b"<data><email>u1@example.com</email><phones>447700900123</phones></data></xml>",
        head + b"<matching>phone</matching><phone>447700900123</phone><data><_fname>Jim</_fname></data></xml>",
    ]
    for number, content in enumerate(imports):
        result = await _identifiers(tmp_path / f"x{number}", "/api/v1.1/profiles/import", content, {})
        assert expected in result


async def test_an_extension_is_told_in_the_warnings(tmp_path: Path) -> None:
    log = MemoryLog()
    async with client_of(memory_edge(tmp_path, log)) as client:
        body = {"type": "e", "user_id": "u", "phone": "+447700900123;ext=1"}
        answer = await client.post("/v1/events", json=body, headers=SECRET)
    assert answer.status_code == 202
    assert "phone" in str(answer.json()["warnings"])
    assert [identifier["type"] for identifier in log.events[0]["identifiers"]] == ["external_id"]
