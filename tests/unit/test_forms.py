"""The short form of the tests omits the listed tests, and the full form runs them."""

import subprocess
import sys
from collections import Counter

from tests.support.forms import Form
from tests.support.services import ROOT
from tests.support.tiers import LEFT_OUT

TIERS = ("console", "faults")
"""Those of long tests that this looks at."""


PAGES = "tests/console/test_console_pages.py"


def collected(*words: str) -> tuple[Counter[str], str]:
    """Counts the tests of the full form alone by tier; returns the printed output too."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-m", "full", *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    tests = [line.split("/")[1] for line in done.stdout.splitlines() if "::" in line]
    return Counter(tests), done.stdout


def test_the_full_form_of_each_tier_has_tests_of_its_own() -> None:
    full, output = collected("--full", *(f"tests/{tier}" for tier in TIERS))
    assert set(full) == set(TIERS), output
    assert min(full.values()) >= 3


def test_what_the_short_form_leaves_out_is_named_and_counted() -> None:
    short, output = collected(PAGES)
    assert short == Counter()
    (line,) = [line for line in output.splitlines() if line.startswith(LEFT_OUT)]
    assert line.endswith("(2 tests)")


def test_a_smaller_number_is_noted_and_the_full_one_is_not() -> None:
    short, full = Form(full=False), Form(full=True)
    assert short.number("kills", short=2, full=1_000) == 2
    assert full.number("kills", short=2, full=1_000) == 1_000
    assert (short.left_out, full.left_out) == (["kills: 2 of 1,000"], [])
