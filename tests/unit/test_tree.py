"""The rules of the tree: who imports whom, which files may do I/O, how long a file may be, what it must say."""

import ast
import re
import subprocess
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
IO = {
    "ingest/__main__.py",
    "ingest/control/access.py",
    "ingest/control/access_routes.py",
    "ingest/app.py",
    "ingest/events/batching.py",
    "ingest/http/cors.py",
    "ingest/control/campaign_routes.py",
    "ingest/contacts/routes.py",
    "ingest/openapi.py",
    "ingest/events/context.py",
    "ingest/events/edge.py",
    "ingest/contacts/erasure.py",
    "ingest/http/read_api.py",
    "ingest/events/linked.py",
    "ingest/http/health.py",
    "ingest/http/idempotency.py",
    "ingest/control/segment_routes.py",
    "ingest/events/publish.py",
    "ingest/events/receipts.py",
    "ingest/http/ssrf_guard.py",
    "ingest/receivers/endpoint.py",
    "ingest/http/key_usage.py",
    "ingest/contacts/split_routes.py",
    "ingest/contacts/static_segments.py",
    "ingest/events/replay_cache.py",
    "ingest/events/merge_map.py",
    "ingest/control/webhook_routes.py",
    "processors/__main__.py",
    "processors/backfill/reader.py",
    "processors/backfill/sink_progress.py",
    "schemas/service/rocksdb.py",
    "schemas/service/heartbeat.py",
    "schemas/service/http_protocol.py",
    "ingest/contacts/barrier.py",
    "ingest/events/batch.py",
    "ingest/http/body.py",
    "ingest/events/endpoint.py",
    "schemas/ids.py",
    "schemas/service/kafka.py",
    "schemas/service/process.py",
    "schemas/service/processes.py",
    "schemas/service/web.py",
    "sinks/__main__.py",
    "sinks/read_api/graphql/endpoint.py",
    "sinks/clickhouse/consumer.py",
    "sinks/delivery/deliver.py",
    "sinks/webhooks/dispatch.py",
    "sinks/webhooks/erase.py",
    "sinks/webhooks/planner.py",
    "sinks/webhooks/delivery_log.py",
    "sinks/delivery/lease.py",
    "sinks/webhooks/outgoing.py",
    "sinks/webhooks/process.py",
    "sinks/webhooks/store.py",
}
IO_FOLDERS = ("deploy/", "processors/runtime/", "sinks/clickhouse/", "sinks/query/")
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


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


SOURCES = [path for path in tracked(".py") if relative(path).split("/")[0] in PACKAGES]
TESTS = [path for path in tracked(".py") if relative(path).startswith("tests/")]


def imports(path: Path) -> set[str]:
    """Dotted names that a file imports, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def packages_of(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imports(path)}


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_a_file_keeps_to_its_place(path: Path) -> None:
    """Stages meet in schemas only, schemas knows nobody, and nobody but deploy knows deploy."""
    own, used = relative(path).split("/")[0], packages_of(path)
    allowed = set(PACKAGES) if own == "deploy" else {own, "schemas"}
    assert used & set(PACKAGES) <= allowed


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_what_decides_does_no_io(path: Path) -> None:
    name = relative(path)
    if name in IO or name.startswith(IO_FOLDERS):
        return
    assert not packages_of(path) & IMPURE


def test_the_list_of_io_files_names_files() -> None:
    assert sorted(name for name in IO if not (ROOT / name).is_file()) == []


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_only_the_seam_knows_faust(path: Path) -> None:
    if not relative(path).startswith("processors/runtime/"):
        assert not packages_of(path) & {"faust", "mode"}


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_a_file_says_what_it_is_and_stays_short(path: Path) -> None:
    text = path.read_text()
    if text.strip():
        assert ast.get_docstring(ast.parse(text)), "the first sentence says what goes in and what comes out"
    assert text.count("\n") <= MAX_LINES
    assert path.stem not in FORBIDDEN_NAMES
    assert len(path.relative_to(ROOT).parts) <= 3, "no package deeper than two"


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_a_function_fits_a_screen(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert (node.end_lineno or 0) - node.lineno < 60, node.name


def test_every_agent_yields() -> None:
    """An agent without a yield hides its exceptions from whoever tests it."""
    agents = [
        node
        for path in SOURCES
        if relative(path).startswith("processors/runtime/")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.AsyncFunctionDef) and any(a.arg == "stream" for a in node.args.args)
    ]
    assert agents
    for agent in agents:
        assert any(isinstance(node, ast.Yield) for node in ast.walk(agent)), agent.name


def test_topics_are_named_in_one_place() -> None:
    from schemas import topics  # noqa: PLC0415 - its names are the subject here

    names = "|".join(t.name for t in topics.DATA if t.name not in ("events", "control"))
    literal = re.compile(rf"[\"'](headwater-)?({names})[\"']")
    found = [
        f"{relative(path)}: {line.strip()}"
        for path in SOURCES
        if relative(path) != "schemas/topics.py" and not relative(path).startswith(("deploy/", "sinks/query/"))
        for line in path.read_text().splitlines()
        if literal.search(line) and "topic" in line.lower()
    ]
    assert found == []


def test_the_top_level_is_fixed() -> None:
    tops = {relative(path).split("/")[0] for path in tracked("")}
    assert {top for top in tops if not top.startswith(".")} <= TOP


def test_no_two_test_files_share_a_name() -> None:
    """Pytest imports them by name, so the second one ends a run of all tiers."""
    names = sorted(path.name for path in TESTS if path.name.startswith("test_"))
    assert names == sorted(set(names))


def test_every_test_can_fail() -> None:
    """A test asserts, expects an exception, or hands on to a function that does."""
    telling = re.compile(r"assert|raises|check|expect|verify|run_state_machine|warns|eventually|until")
    for path in TESTS:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test"):
                calls = [ast.unparse(n.func) for n in ast.walk(node) if isinstance(n, ast.Call)]
                asserts = any(isinstance(n, ast.Assert) for n in ast.walk(node))
                assert asserts or any(telling.search(c) for c in calls), f"{relative(path)}:{node.name}"
