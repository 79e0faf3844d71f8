"""Guards first: no sockets without a marker, no tier that silently ran nothing; then the real services.

A test's tier is its first folder under ``tests/``. Markers say what a test may reach: ``kafka``,
``clickhouse``, ``e2e``, ``faults``, ``sdks``, ``console``.
"""

import os
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest

from schemas.settings import PREFIX, Settings
from tests.support import services
from tests.support.forms import Form
from tests.support.tiers import LEFT_OUT, TIERS

# how long an example takes on a machine that is busy proves nothing
hypothesis.settings.register_profile("usual", deadline=None)
hypothesis.settings.register_profile("nightly", max_examples=3000, deadline=None)
hypothesis.settings.load_profile("usual")

REACHING = frozenset({"kafka", "clickhouse", "e2e", "faults", "sdks", "console"})
TOOLS = {"helm": "the chart was not rendered", "promtool": "the alert rules were not evaluated"}
"""Markers of tests that need a command, and what a run without it does not prove."""
REQUIRE_TIERS = "HEADWATER_REQUIRE_TIERS"
SERVICES = ("KAFKA_BOOTSTRAP_SERVERS", "CLICKHOUSE_URL")

_given = {name: os.environ.pop(name, "") for name in SERVICES}
_required = bool(os.environ.get("CI")) or os.environ.get(REQUIRE_TIERS) == "1"
for _name in [name for name in os.environ if name.startswith(PREFIX)]:
    del os.environ[_name]  # a developer's own stack must not leak into the tests

_sockets = {"blocked": False}
_counts: dict[str, Counter[str]] = {tier: Counter() for tier in TIERS}
_origins: dict[str, str] = {}
_form = Form(full=False)
_asked: set[str] = set()
"""Tiers that the command line names; all of them where it names none."""


def _guard(event: str, _args: tuple[object, ...]) -> None:
    if _sockets["blocked"] and event in {"socket.connect", "socket.bind", "socket.getaddrinfo"}:
        raise RuntimeError(f"{event} in a test without one of the markers {', '.join(sorted(REACHING))}")


sys.addaudithook(_guard)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full", action="store_true", help="the full form of each tier, not the short form")
    parser.addoption("--all-sdks", action="store_true", help="every SDK, version and variant, not the short form")
    parser.addoption("--record-sdks", action="store_true", help="write what the SDKs sent to tests/recordings")


def pytest_configure(config: pytest.Config) -> None:
    paths = [(config.invocation_params.dir / arg.split("::", maxsplit=1)[0]).resolve() for arg in config.args]
    tests = services.ROOT / "tests"
    named = {tier_of(path) if path != tests and tests in path.parents else "" for path in paths}
    _asked.update(TIERS if "" in named else named)
    _form.full = bool(config.getoption("--full"))


def tier_of(path: Path) -> str:
    parts = path.relative_to(services.ROOT / "tests").parts
    return parts[0] if parts[0] in TIERS else ""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for command, loss in TOOLS.items():
        if shutil.which(command) is None and (users := [item for item in items if item.get_closest_marker(command)]):
            # no registry of Python has it as a package: a run without it says so, and is proof of all else
            config.hook.pytest_deselected(items=users)
            items[:] = [item for item in items if item not in users]
            _form.left_out.append(f"{loss}: {command} is not on the path")
    if not _form.full:
        leave_out_full_form(config, items)
    for item in items:
        marks = {mark.name for mark in item.iter_markers()}
        asked = set(getattr(item, "fixturenames", ())) & {"kafka", "clickhouse"}
        missing = asked - marks
        if missing and not marks & {"e2e", "faults", "sdks", "console"}:
            # else `-m "not kafka"` would start a broker
            raise pytest.UsageError(f"{item.nodeid} uses {sorted(missing)} without the marker")


def leave_out_full_form(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests of the full form alone; the text of their marker says what a run without them did not try."""
    losses: dict[str, list[pytest.Item]] = {}
    for item in items:
        if mark := item.get_closest_marker("full"):
            losses.setdefault(str(mark.args[0]), []).append(item)
    for loss, left in losses.items():
        config.hook.pytest_deselected(items=left)
        _form.left_out.append(f"{loss} ({len(left)} tests)")
    items[:] = [item for item in items if item.get_closest_marker("full") is None]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    _sockets["blocked"] = not REACHING & {mark.name for mark in item.iter_markers()}
    try:
        return (yield)
    finally:
        _sockets["blocked"] = False


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    tier = tier_of(services.ROOT / report.nodeid.split("::", maxsplit=1)[0])
    if tier and (report.when == "call" or report.outcome != "passed"):
        _counts[tier][report.outcome] += 1
        if tier in {"sdks", "console"} and report.skipped and isinstance(report.longrepr, tuple):
            _form.left_out.append(str(report.longrepr[2]).removeprefix("Skipped: "))


def shortcomings() -> list[str]:
    """Gaps in the proof: a tier that was to run, has tests and ran none, and a test that was skipped."""
    found = []
    for tier in sorted(_asked):
        ran = _counts[tier]["passed"] + _counts[tier]["failed"]
        if not ran and any((services.ROOT / "tests" / tier).rglob("test_*.py")):
            found.append(f"tier {tier} has tests and ran none")
        if _counts[tier]["skipped"]:
            found.append(f"tier {tier} skipped {_counts[tier]['skipped']}")
    return found


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    terminalreporter.section("tiers")
    for tier in [tier for tier in TIERS if tier in _asked]:
        count = _counts[tier]
        figures = "".join(f"{count[outcome]:>6} {outcome}" for outcome in ("passed", "failed", "skipped"))
        terminalreporter.write_line(f"{tier:<12}{figures}")
    for name, origin in _origins.items():
        terminalreporter.write_line(f"{name}: {origin}")
    for line in dict.fromkeys(_form.left_out):
        terminalreporter.write_line(f"{LEFT_OUT}{line}", yellow=True)
    if _required:
        for line in shortcomings():
            terminalreporter.write_line(f"NOT PROVEN: {line}", red=True)


def pytest_sessionfinish(session: pytest.Session) -> None:
    if _required and shortcomings() and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(scope="session")
def say(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Writes a line to the terminal, past pytest's capture."""
    capture = request.config.pluginmanager.getplugin("capturemanager")
    reporter = request.config.pluginmanager.getplugin("terminalreporter")

    def write(line: str) -> None:
        if reporter is not None and capture is not None:
            with capture.global_and_fixture_disabled():
                reporter.write_line(f"\n{line}")

    return write


@pytest.fixture(scope="session")
def form() -> Form:
    """Short or full, as the command line says."""
    return _form


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory, say: Callable[[str], None]) -> Iterator[str]:
    """Bootstrap address of a real broker."""
    with services.kafka(tmp_path_factory.mktemp("kafka"), _given[SERVICES[0]], say) as service:
        _origins["kafka"] = f"{service.origin} at {service.address}"
        say(f"kafka: {_origins['kafka']}")
        yield service.address


@pytest.fixture(scope="session")
def clickhouse(tmp_path_factory: pytest.TempPathFactory, say: Callable[[str], None]) -> Iterator[str]:
    """URL of a real ClickHouse."""
    with services.clickhouse(tmp_path_factory.mktemp("clickhouse"), _given[SERVICES[1]]) as service:
        _origins["clickhouse"] = f"{service.origin} at {service.address}"
        say(f"clickhouse: {_origins['clickhouse']}")
        yield service.address


@pytest.fixture(scope="module", autouse=True)
def databases() -> Iterator[None]:
    """Those of a module's own fixtures go with it."""
    yield
    services.drop_databases()


@pytest.fixture
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Settings]:
    """Fresh names and ports; points to those services that the test's markers ask for; the database goes at the end."""
    marks = {mark.name for mark in request.node.iter_markers()}
    made = services.fresh_settings(
        tmp_path,
        kafka=request.getfixturevalue("kafka") if "kafka" in marks else "",
        clickhouse=request.getfixturevalue("clickhouse") if "clickhouse" in marks else "",
    )
    yield made
    services.drop_databases(of=made)
