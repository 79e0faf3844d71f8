"""The README says what the code does: its settings, its files, its commands."""

import re
from pathlib import Path

from schemas.settings import markdown_table

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def test_the_settings_table_is_the_generated_one() -> None:
    """`python -m schemas.settings` prints what belongs there."""
    assert markdown_table() in README


def test_every_file_it_names_is_there() -> None:
    named = set(re.findall(r"`((?:ingest|processors|sinks|schemas|deploy|tests)/[\w/.*]*)`", README))
    assert named
    assert [name for name in sorted(named) if not list(ROOT.glob(name.rstrip("/")))] == []


def test_every_make_target_it_names_is_there() -> None:
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:^|`)make (\w+)", README, re.MULTILINE)) <= targets
