"""Compiled modules are found only while the sources are the compiled ones, and say the same as the sources."""

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
from schemas.records import avro, codec, varint
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
    """A copy of the sources that may be compiled."""
    for module in (*modules.MODULES, "schemas.records.avro"):
        target = tmp_path / modules.source(module).relative_to(modules.ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(modules.source(module), target)
    monkeypatch.setattr(modules, "ROOT", tmp_path)
    return tmp_path


@pytest.mark.parametrize("module", [modules.MODULES[0], modules.MODULES[-1], "schemas.records.avro"])
def test_an_edited_source_is_run_and_not_its_compiled_form(copy: Path, module: str) -> None:
    before = modules.folder.__wrapped__()
    file = modules.source(module)
    file.write_text(f"{file.read_text()}\n# an edit\n")
    assert modules.folder.__wrapped__() != before
    assert before.parent == copy / ".compiled"


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
