"""The README's table of SDKs is what the programs that try them say of themselves."""

import re

from tests.sdks.manifest import cases, markdown_table, sdks
from tests.support.services import ROOT


def test_the_readme_has_the_table_of_sdks() -> None:
    assert markdown_table() in (ROOT / "README.md").read_text(), "run `python -m tests.sdks.manifest`"


def test_each_sdk_is_pinned() -> None:
    for sdk in sdks():
        assert all(re.fullmatch(r"[\d.]+[\w.-]*", version) for version in sdk.versions), sdk.path


def test_the_short_form_has_browsers_and_servers() -> None:
    short = [case for case in cases() if case.short]
    assert {case.sdk.runtime for case in short} >= {"browser", "node", "go"}
    assert len({case.name for case in cases()}) == len(cases())
