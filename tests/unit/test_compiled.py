"""Compiled modules are found only while the sources are the compiled ones, and give the same results as they do."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from schemas.compiled import modules
from schemas.compiled.modules import CompiledFinder
from tests.support.services import ROOT

WRITE = """
import sys
if sys.argv[1] == "compiled":
    import schemas.compiled.use
from processors.segments import unit
from schemas.records import codec
from schemas.rules import aggregates
from tests.support.builders import event, link

texts = ["", "a", "\\x00", "\\N{PILE OF POO}", "x" * 127, "y" * 9000]
events = [
    {**event(f"external_id:{text}u", event_id=text), "properties": text.encode(), "timestamp_ms": n**9 - 3}
    for n, text in enumerate(texts)
]
record = codec.encode_events(events)
print(record.hex(), codec.encode_events(codec.decode_events(record)) == record)
print(codec.decode_placed_events(record)[2]["places"])
links = codec.encode_links([link("external_id:u", "email:a@b.c", event="e")] * 3)
print(links.hex(), codec.decode_links(links))
for wrong in (record[:-1], record + b"x", record[:50] + b"\\xff" * 50, record[:10] + b"\\x03"):
    try:
        print(codec.decode_events(wrong))
    except codec.UndecodableError as error:
        print(str(error).partition(":")[0])
for wrong in ({"type": None}, {"timestamp_ms": 1 << 70}):
    try:
        print(codec.encode_event({**events[0], **wrong}))
    except (TypeError, OverflowError, ValueError) as error:
        print(type(error).__name__)
print(aggregates.shown(16676471576955451))
print(unit.__file__.rpartition(".")[2], file=sys.stderr)
"""
"""Records written, read and refused, on stdout; how the modules of segments were imported, on stderr."""


def _run(form: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", WRITE, form]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)


def test_compiled_functions_write_read_and_refuse_as_the_sources_do() -> None:
    if not modules.folder().is_dir():
        pytest.skip("nothing is compiled: `python -m deploy.compile`, as `make test` does")
    source, machine = _run("source"), _run("compiled")
    assert (source.stderr.strip(), machine.stderr.strip()) == ("py", "so")
    assert source.stdout == machine.stdout
    assert " True\n" in source.stdout


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the files that the compiler may read."""
    for package in (*modules.PACKAGES, "deploy"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(modules, "ROOT", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "edited",
    [
        "processors/segments/unit.py",
        "schemas/records/records.py",
        "schemas/records/codec.py",
        "schemas/avro/event_batch.v2.avsc",
        "deploy/compile.py",
    ],
)
def test_after_an_edit_the_sources_are_run(copy: Path, edited: str) -> None:
    before = modules.folder.__wrapped__()
    file = copy / edited
    file.write_text(f"{file.read_text()}\n")
    assert modules.folder.__wrapped__() != before
    assert before.parent == copy / ".compiled"


def test_where_nothing_was_compiled_no_source_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(modules, "ROOT", tmp_path)
    modules.use()
    assert not modules.is_used()


def test_the_finder_knows_compiled_modules_alone(tmp_path: Path) -> None:
    (tmp_path / "schemas").mkdir()
    file = tmp_path / f"schemas/one{modules.SUFFIX}"
    file.touch()
    finder = CompiledFinder(tmp_path)
    spec = finder.find_spec("schemas.one")
    assert spec is not None
    assert spec.origin == str(file)
    assert finder.find_spec("schemas.two") is None
    assert finder.find_spec("schemas") is None
