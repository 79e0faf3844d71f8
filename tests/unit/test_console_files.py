"""What the console is made of: files of others as they were published, and templates that keep to the policy."""

import gzip
import hashlib
import re
import tomllib
from pathlib import Path

from sinks.console.web.render import FOLDER, millis, short
from sinks.console.web.session import CODE_S, Codes, Session, Sessions

STATIC = FOLDER.parent / "static"
VENDOR = STATIC / "vendor"
MOST_CSS = 6 * 1024
"""Bytes, as they are sent."""
FORBIDDEN = re.compile(r"\sstyle=|\son[a-z]+=|hx-on|js:|javascript:|\|\s*safe|autoescape false|<script(?![^>]*nonce)")


def test_files_of_others_are_those_that_were_published() -> None:
    listed = tomllib.loads((VENDOR / "vendor.toml").read_text())["file"]
    files = {path.name for path in VENDOR.iterdir() if path.suffix in {".js", ".css"}}
    assert {one["name"] for one in listed} == files
    for one in listed:
        assert hashlib.sha256((VENDOR / one["name"]).read_bytes()).hexdigest() == one["sha256"], one["name"]


def test_templates_hold_no_style_no_handler_and_nothing_unescaped() -> None:
    templates = sorted(FOLDER.glob("*.html"))
    assert templates
    found = {path.name: FORBIDDEN.findall(path.read_text()) for path in templates}
    assert {name: hits for name, hits in found.items() if hits} == {}


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
    wanted = {path.suffix for path in STATIC.rglob("*") if path.is_file()} | {".html"}
    assert wanted == {".js", ".css", ".svg", ".toml", ".LICENSE", ".html"}
    assert Path(FOLDER).name == "templates"
