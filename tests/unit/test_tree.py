"""The rules of the tree: who imports whom, which files may do I/O, how long a file may be, what it must say."""

import ast
import re
import subprocess
from collections import Counter
from collections.abc import Mapping
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STAGES = ("ingest", "processors", "sinks")
PACKAGES = (*STAGES, "schemas", "deploy")
TOP = {
    "pyproject.toml",
    "README.md",
    "Makefile",
    "LICENSE",
    "ingest",
    "processors",
    "sinks",
    "schemas",
    "deploy",
    "tests",
}
MAX_LINES = 300
IMPURE = frozenset(
    "asyncio time os socket faust mode aiokafka aiohttp clickhouse_connect starlette uvicorn httpx rocksdict "
    "subprocess threading random secrets".split()
)
PURE = ("ingest/dialects/", "processors/identity/", "processors/membership/", "schemas/records/", "schemas/rules/")
"""Folders of which each file is pure; elsewhere a file says so, and is then held to it."""
MOST_MODULES = 15
DEEPEST = 4
FORBIDDEN_NAMES = {"utils", "helpers", "common", "manager", "base", "misc"}


def tracked(*suffixes: str) -> list[Path]:
    """Files that git keeps or would keep."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\n")
    return [ROOT / name for name in listed if name.endswith(suffixes) and (ROOT / name).exists()]


@cache
def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


SOURCES = [path for path in tracked(".py") if relative(path).split("/")[0] in PACKAGES]
TESTS = [path for path in tracked(".py") if relative(path).startswith("tests/")]


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


@cache
def imports(path: Path) -> frozenset[str]:
    """Dotted names that a file imports, wherever in it."""
    modules: set[str] = set()
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            modules |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(modules)


def packages_of(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imports(path)}


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_a_file_keeps_to_its_place(path: Path) -> None:
    """Stages meet in schemas only, schemas knows nobody, and nobody but deploy knows deploy."""
    own, used = relative(path).split("/")[0], packages_of(path)
    allowed = set(PACKAGES) if own == "deploy" else {own, "schemas"}
    assert used & set(PACKAGES) <= allowed


def is_pure(path: Path) -> bool:
    """Whether a file promises to do no I/O: by its folder, or by the end of its docstring's first paragraph."""
    text = ast.get_docstring(parsed(path)) or ""
    return relative(path).startswith(PURE) or text.split("\n\n")[0].endswith("; pure.")


@pytest.mark.parametrize("path", [path for path in SOURCES if is_pure(path)], ids=relative)
def test_what_is_pure_does_no_io(path: Path) -> None:
    assert not packages_of(path) & IMPURE


def test_a_folder_is_small_enough_to_be_seen_at_once() -> None:
    sizes = Counter(path.parent for path in SOURCES if path.name != "__init__.py")
    assert {relative(folder): size for folder, size in sizes.items() if size > MOST_MODULES} == {}


@cache
def module(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@cache
def uses() -> dict[Path, set[Path]]:
    """The files of ours that each file imports."""
    files = {module(path): path for path in SOURCES}
    return {path: {files[name] for name in imports(path) if name in files} - {path} for path in SOURCES}


def order_of(graph: Mapping[str, set[str]]) -> list[str]:
    """An order in which each comes after those that it uses; raises ``CycleError``, which names a cycle."""
    return list(TopologicalSorter(graph).static_order())


def test_files_form_no_cycle() -> None:
    # a package that is named only as the place of what is imported from it is not used itself
    graph = {
        relative(path): {
            relative(other)
            for other in used
            if other.name != "__init__.py" or not any(module(deeper).startswith(module(other) + ".") for deeper in used)
        }
        for path, used in uses().items()
    }
    assert len(order_of(graph)) == len(SOURCES)


def test_folders_form_no_cycle() -> None:
    graph: dict[str, set[str]] = {relative(path.parent): set() for path in SOURCES}
    for path, used in uses().items():
        graph[relative(path.parent)] |= {relative(other.parent) for other in used if other.name != "__init__.py"} - {
            relative(path.parent)
        }
    assert len(order_of(graph)) == len(graph)


def test_every_client_of_kafka_is_made_with_the_settings_of_its_security() -> None:
    named = [relative(path) for path in SOURCES if "bootstrap_servers" in path.read_text()]
    assert set(named) == {"schemas/service/kafka_auth.py", "schemas/settings.py", "deploy/local/stack.py"}


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_only_the_seam_knows_faust(path: Path) -> None:
    if not relative(path).startswith("processors/runtime/"):
        assert not packages_of(path) & {"faust", "mode"}


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_a_file_says_what_it_is_and_stays_short(path: Path) -> None:
    text = path.read_text()
    if text.strip():
        assert ast.get_docstring(parsed(path)), "the first sentence says what goes in and what comes out"
    assert text.count("\n") <= MAX_LINES
    assert path.stem not in FORBIDDEN_NAMES
    assert len(path.relative_to(ROOT).parts) <= DEEPEST, "no package deeper than three"


def test_a_test_file_stays_short() -> None:
    lengths = {relative(path): path.read_text().count("\n") for path in TESTS}
    assert {name: length for name, length in lengths.items() if length > MAX_LINES} == {}


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_a_function_fits_a_screen(path: Path) -> None:
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert (node.end_lineno or 0) - node.lineno < 60, node.name


def test_a_class_name_means_one_thing() -> None:
    """GraphQL's types keep the names that the API gives them, and a test's own classes are its own."""
    places: dict[str, list[str]] = {}
    for path in SOURCES + [path for path in TESTS if not path.name.startswith("test_")]:
        if "graphql" not in path.parts:
            for node in ast.walk(parsed(path)):
                if isinstance(node, ast.ClassDef):
                    places.setdefault(node.name, []).append(relative(path))
    assert {name: where for name, where in places.items() if len(where) > 1} == {}


def test_topics_are_named_in_one_place() -> None:
    from schemas import topics  # noqa: PLC0415 - its names are the subject here

    names = "|".join(t.name for t in topics.DATA if t.name not in ("events", "control"))
    literal = re.compile(rf"[\"'](headwater-)?({names})[\"']")
    offences = [
        f"{relative(path)}: {line.strip()}"
        for path in SOURCES
        if relative(path) != "schemas/topics.py" and not relative(path).startswith(("deploy/", "sinks/read_api/"))
        for line in path.read_text().splitlines()
        if literal.search(line) and "topic" in line.lower()
    ]
    assert offences == []


def test_the_top_level_is_fixed() -> None:
    tops = {relative(path).split("/")[0] for path in tracked("")}
    assert {top for top in tops if not top.startswith(".")} <= TOP


def test_no_two_test_files_share_a_name() -> None:
    """Pytest imports them by name, so the second one ends a run of all tiers."""
    names = sorted(path.name for path in TESTS if path.name.startswith("test_"))
    assert names == sorted(set(names))


def test_every_test_can_fail() -> None:
    """A test asserts, expects an exception, or hands on to a function that does."""
    telling = re.compile(r"assert|raises|check|expect|verify|run_state_machine|warns|eventually|wait_until")
    for path in TESTS:
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test"):
                calls = [ast.unparse(n.func) for n in ast.walk(node) if isinstance(n, ast.Call)]
                asserts = any(isinstance(n, ast.Assert) for n in ast.walk(node))
                assert asserts or any(telling.search(c) for c in calls), f"{relative(path)}:{node.name}"
