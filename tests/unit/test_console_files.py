"""What the console is made of: files of others as they were published, and templates that keep to the policy."""

import gzip
import hashlib
import re
import tomllib
from pathlib import Path

import pytest
from starlette.requests import Request

from schemas.control.access import Principal
from schemas.errors import ApiError
from schemas.settings import Settings
from sinks.console.app import NAVIGATION
from sinks.console.web.api import Api, ApiConnection
from sinks.console.web.assets import Assets
from sinks.console.web.render import FOLDER, Templates, millis, short
from sinks.console.web.session import CODE_S, Codes, Session, Sessions
from sinks.console.web.visit import Visit

STATIC = FOLDER.parent / "static"
VENDOR = STATIC / "vendor"
MOST_CSS = 6 * 1024
"""Bytes, as they are sent."""
FORBIDDEN = re.compile(r"\sstyle=|\son[a-z]+=|hx-on|js:|javascript:|\|\s*safe|autoescape false|<script(?![^>]*nonce)")


def test_files_of_others_are_those_that_were_published() -> None:
    listed = tomllib.loads((VENDOR / "vendor.toml").read_text())["file"]
    files = {path.name for path in VENDOR.iterdir() if path.suffix in {".js", ".css"}}
    assert {row["name"] for row in listed} == files
    for row in listed:
        assert hashlib.sha256((VENDOR / row["name"]).read_bytes()).hexdigest() == row["sha256"], row["name"]


def test_templates_hold_no_style_no_handler_and_nothing_unescaped() -> None:
    templates = sorted(FOLDER.glob("*.html"))
    assert templates
    results = {path.name: FORBIDDEN.findall(path.read_text()) for path in templates}
    assert {name: hits for name, hits in results.items() if hits} == {}


def test_links_and_forms_go_to_whole_addresses() -> None:
    """The answer to a form is a page too, and its own address takes no GET."""
    relative = re.compile(r'href="\?|<form(?![^>]*(?:action=|hx-post=|method="dialog"))')
    results = {path.name: relative.findall(path.read_text()) for path in FOLDER.glob("*.html")}
    assert {name: hits for name, hits in results.items() if hits} == {}


@pytest.mark.parametrize(
    ("method", "path", "then"),
    [
        ("GET", "/console/campaigns/c1", "/console/campaigns/c1"),
        ("POST", "/console/campaigns/c1/launch", "/console/campaigns"),
        ("POST", "/console/webhooks/retry", "/console/webhooks"),
    ],
)
def test_another_environment_is_chosen_on_a_page_that_there_is(method: str, path: str, then: str) -> None:
    session, principal = Session("sk_1", ""), Principal("key_1", "secret", "w", "e", ())
    request = Request({"type": "http", "method": method, "path": path, "query_string": b"", "headers": []})
    api = Api(ApiConnection(Settings()), session)
    visit = Visit(request, session, principal, api, Templates(Assets()), "n", NAVIGATION, ["e", "f"], "")
    page = visit.page("error.html", 404, title="", refused=ApiError("not_found", "no such page"))
    assert f'name="next" value="{then}"' in bytes(page.body).decode()


def test_our_scripts_make_no_html_of_strings() -> None:
    ours = [path.read_text() for path in STATIC.glob("*.js")]
    assert ours
    assert not any(re.search(r"innerHTML|outerHTML|insertAdjacentHTML|\beval\(|document\.write", text) for text in ours)


def test_our_style_is_small() -> None:
    assert sum(len(gzip.compress(path.read_bytes(), 9)) for path in STATIC.glob("*.css")) <= MOST_CSS


def test_a_session_survives_a_restart_and_a_new_secret_key() -> None:
    session = Session("sk_1", "staging")
    sealed = Sessions(["old"]).seal(session)
    assert "sk_1" not in sealed
    assert Sessions(["new", "old"]).open(sealed) == session
    assert Sessions(["new"]).open(sealed) is None
    assert Sessions([]).open(sealed) is None


def test_a_code_is_good_once_and_for_ten_minutes() -> None:
    now = [0.0]
    codes = Codes(lambda: now[0])
    first, second = codes.make("sk_1"), codes.make("sk_2")
    assert codes.take(first) == "sk_1"
    assert codes.take(first) is None
    now[0] = CODE_S
    assert codes.take(second) is None


def test_spans_and_long_values_are_short() -> None:
    spans = (0, 999, 1200, 61_000, 240_000, 7_200_000, 10**9)
    assert [millis(ms) for ms in spans] == ["0 ms", "999 ms", "1.2 s", "61 s", "4 min", "2 h", "12 d"]
    assert len(short("x" * 10_000)) == 301


def test_no_file_of_ours_is_missing_from_the_package() -> None:
    expected = {path.suffix for path in STATIC.rglob("*") if path.is_file()} | {".html"}
    assert expected == {".js", ".css", ".svg", ".toml", ".LICENSE", ".html"}
    assert Path(FOLDER).name == "templates"
