"""What the pages of `/docs` show is so: rules do what their sentence says, verifiers verify, pages open."""

import json
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from ingest import doc_pages, openapi
from schemas.api.requests.body import checked
from schemas.api.requests.lists import NewValueList
from schemas.records.records import Event
from schemas.rules import parse
from schemas.rules.parse import FIELDS
from sinks.delivery import sign
from sinks.webhooks.messages import OURS
from tests.property.world_segments import DAY, HOUR, NOW, SegmentsWorld, event

RULES = doc_pages.source("rules")
WEBHOOKS = doc_pages.source("webhooks")
RECIPES: dict[str, Any] = {
    title: json.loads(rule) for title, rule in re.findall(r"### ([^\n]+)\n[^\n]+\n```json\n(.*?)```", RULES, re.DOTALL)
}
MAY = 1_777_608_000_000
"""Midnight of the first of May in New York."""


def did(name: str, ago: int = 0, *, at: int | None = None, **properties: Any) -> Event:
    moment = NOW - ago if at is None else at
    return event(name, at=moment, received=NOW, event_id=f"{name}{moment}", properties=properties)


def has(**attributes: Any) -> Event:
    return event("$identify", kind="identify", event_id="has", attributes=attributes)


def allows(**consents: bool) -> Event:
    return event("c", kind="contact", event_id="allows", consents=consents)


def known_by(kind: str, value: str) -> Event:
    return event("seen", user=value, by=kind)


def orders(*ago: int) -> list[Event]:
    return [did("order_completed", days * DAY, total=250) for days in ago]


def looks(*days: int) -> list[Event]:
    return [did("page_viewed", ago * DAY, path="/pricing") for ago in days]


LATER = 2 * DAY + HOUR
CASES: dict[str, tuple[list[Event], list[Event], int]] = {
    "Regulars": (orders(29, 2, 1), orders(31, 2, 1), 0),
    "Big spenders": (orders(80, 70), orders(100, 70), 0),
    "Lapsed buyers": (orders(200), orders(200, 10), 0),
    "Cart abandoned today": ([did("product_added")], [did("product_added"), did("order_completed")], 3 * HOUR),
    "Looked at prices, did not buy": (looks(6, 3, 0), looks(9, 3, 0), LATER),
    "Looked, then signed up": (
        [did("page_viewed", 2 * HOUR), did("signed_up", HOUR)],
        [did("signed_up", 2 * HOUR), did("page_viewed", HOUR)],
        0,
    ),
    "Never came back": ([did("signed_up")], [did("signed_up"), did("page_viewed", at=NOW + HOUR)], 4 * DAY),
    # in Tokyo it is the 29th of May
    "Birthday today": ([has(birthday="1990-05-29", timezone="Asia/Tokyo")], [has(birthday="1990-05-29")], 0),
    "Birthday in a week": ([has(birthday="1990-06-04")], [has(birthday="1990-06-05")], 0),
    "Trial ends in three days": (
        [has(trial_ends="2026-05-30")],
        [has(trial_ends="2026-05-28")],
        0,
    ),
    "Reads mail, does not click": (
        [allows(email_marketing=True), did("message.opened", HOUR, user_agent="Thunderbird")],
        [allows(email_marketing=True), did("message.opened", HOUR, user_agent="Mozilla/5.0")],
        0,
    ),
    "Private mail addresses": ([known_by("email", "ann@gmail.com")], [known_by("email", "ann@work.com")], 0),
    "Can be texted": ([known_by("phone", "+4915123456789")], [known_by("email", "ann@work.com")], 0),
    "Ordered on the first of May": (
        [did("order_completed", at=MAY + DAY - 1)],
        [did("order_completed", at=MAY + DAY), did("order_completed", at=MAY - 1)],
        0,
    ),
    "Bought a rare product": (
        [did("order_completed", sku="tea-2")],
        [did("order_completed", sku="tea-3"), did("viewed", sku="tea-1")],
        0,
    ),
    "Pays, or lives in Scandinavia": (
        [has(address={"country": "NO"})],
        [has(address={"country": "DE"}, plan="free")],
        0,
    ),
}


def members(rule: Any, sent: list[Event], wait: int) -> set[str]:
    world = SegmentsWorld(it=rule)
    world.send(*sent)
    world.pass_time(wait)
    return {contact for contact, _ in world.members()}


def test_every_recipe_is_tried() -> None:
    assert len(RECIPES) >= 15
    assert set(CASES) == set(RECIPES)


@pytest.mark.parametrize("title", CASES)
def test_a_recipe_finds_whom_it_says(title: str) -> None:
    inside, outside, wait = CASES[title]
    assert len(members(RECIPES[title], inside, wait)) == 1
    assert members(RECIPES[title], outside, wait) == set()


def test_an_abandoned_cart_is_forgotten_after_a_day() -> None:
    assert members(RECIPES["Cart abandoned today"], [did("product_added")], DAY) != set()
    assert members(RECIPES["Cart abandoned today"], [did("product_added")], DAY + 1) == set()


def test_every_form_is_told_and_every_rule_in_the_text_is_one() -> None:
    assert [form for form in FIELDS if f'{{"{form}":' not in RULES] == []
    written = re.findall(r"'(\{.*\})'", RULES)
    assert written
    for body in map(json.loads, written):
        if "rule" in body:
            parse.parse(body["rule"])
        else:
            checked(NewValueList, body)


def code(language: str) -> str:
    (result,) = re.findall(rf"```{language}\n(.*?)```", WEBHOOKS, re.DOTALL)
    return str(result)


SECRET, BODY = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", '{"id":"evt_1","data":{"name":"Zo\u00eb"}}'


def signature() -> str:
    at_ms = time.time_ns() // 1_000_000
    sent = sign.headers(event_id="evt_1", attempt_id="dlv_1", at_ms=at_ms, body=BODY.encode(), secrets=[SECRET])
    return sent["Altacee-Signature"]


def test_the_verifier_in_python_verifies() -> None:
    page: dict[str, Any] = {}
    exec(code("python"), page)
    assert page["verify"](SECRET, BODY.encode(), signature())
    assert not page["verify"](SECRET, BODY.encode() + b" ", signature())
    assert not page["verify"](SECRET, BODY.encode(), "é")


def test_the_verifier_in_node_verifies() -> None:
    node = shutil.which("node")
    assert node, "Node.js is needed to run the page's verifier"
    cases = [[SECRET, BODY, signature()], [SECRET, BODY + " ", signature()], [SECRET, BODY, "é"]]
    program = f"{code('js')}\nconsole.log(JSON.stringify({json.dumps(cases)}.map(c => verify(...c))))"
    ran = subprocess.run([node, "-e", program], capture_output=True, check=True, text=True)
    assert json.loads(ran.stdout) == [True, False, False]


def test_every_header_and_type_of_webhooks_is_told() -> None:
    sent = sign.headers(event_id="evt_1", attempt_id="dlv_1", at_ms=0, body=b"", secrets=[SECRET, SECRET])
    named = {name for name in sent if name not in ("Content-Type", "User-Agent")}
    assert [name for name in sorted(named | OURS) if f"`{name}`" not in WEBHOOKS] == []


@pytest.mark.parametrize("name", doc_pages.TITLES)
def test_a_page_is_shown_as_html(name: str) -> None:
    shown = doc_pages.html(name).decode()
    assert "<table>" in shown
    assert "<pre><code" in shown
    assert 'href="/docs/rules"' in shown
    assert "<script" not in shown


def test_the_glossary_is_short_and_the_readme_links_each_page() -> None:
    rows = [line for line in doc_pages.source("words").splitlines() if line.startswith("| ")]
    assert len(rows) - 1 <= 20, "without its head"
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    assert [name for name in doc_pages.TITLES if f"ingest/pages/{name}.md" not in readme] == []


def test_docs_open_with_keys_and_first_calls() -> None:
    shown = openapi.PAGE.decode()
    assert shown.index("pk_dev_local") < shown.index("POST /v1/events") < shown.index('id="api"')
