"""Unmodified SDKs of other vendors make a whole journey: nothing is lost, doubled, mixed up or dated wrongly.

Each program makes the same journey: a stranger's page view and event, identify with traits, nested properties and an
emoji, a group, an alias, 25 events, 3 s without the host in which 5 happen, reset, a second user on the same device,
an event as the page closes. Some make it on a machine whose clock is hours off.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import groupby
from pathlib import Path

import pytest

from tests.sdks import runtimes
from tests.sdks.manifest import Case, cases
from tests.sdks.proxy import save
from tests.sdks.run import Result, journey
from tests.support.services import ROOT
from tests.support.stack import SECRET, LocalStack

pytestmark = [pytest.mark.sdks, pytest.mark.timeout(1800)]
AT_ONCE = 3
RECORDINGS = ROOT / "tests" / "recordings"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    everything = metafunc.config.getoption("--all-sdks")
    chosen = [case for case in cases() if everything or case.short]
    metafunc.parametrize("case", chosen, ids=[case.name for case in chosen])


@pytest.fixture(scope="module")
def journeys(
    request: pytest.FixtureRequest, stack: LocalStack, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[Case, "Future[Result]"]]:
    """All the chosen ones, some at once: most of a journey is waiting."""
    folder = tmp_path_factory.mktemp("sdks")
    selected = {
        item.callspec.params["case"]
        for item in request.session.items
        if hasattr(item, "callspec") and "case" in item.callspec.params
    }
    chosen = [case for case in cases() if case in selected and not runtimes.missing(case)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        installed = _npm_folders(chosen, folder, pool)

        def run_case(case: Case) -> Result:
            own = folder / case.name.replace("/", "-")
            place = installed[case].result() if case in installed else own
            return journey(case, place, stack.url, SECRET, is_recorded=request.config.getoption("--record-sdks"))

        yield {case: pool.submit(run_case, case) for case in chosen}


def _npm_folders(chosen: Sequence[Case], folder: Path, pool: ThreadPoolExecutor) -> dict[Case, "Future[Path]"]:
    """One folder for all first versions, one for all second ones, and so on."""
    from_npm = [case for case in chosen if case.sdk.runtime in {"browser", "node"}]

    def place(case: Case) -> int:
        return case.sdk.versions.index(case.version)

    def install(index: int, group: list[Case]) -> Path:
        runtimes.npm(group, folder / f"npm-{index}")
        return folder / f"npm-{index}"

    futures: dict[Case, Future[Path]] = {}
    for index, listed in groupby(sorted(from_npm, key=place), place):
        group = list(listed)
        future = pool.submit(install, index, group)
        futures.update(dict.fromkeys(group, future))
    return futures


def test_an_sdk_makes_the_whole_journey(
    case: Case, request: pytest.FixtureRequest, journeys: dict[Case, "Future[Result]"]
) -> None:
    lacking = runtimes.missing(case)
    if lacking:
        pytest.skip(f"{case.name} needs {lacking}")
    result = journeys[case].result()
    assert "\n".join(result.faults) == "", result.output[-3000:]
    if request.config.getoption("--record-sdks") and not case.clock_h:
        head = {"run": result.names.run, "began_ms": result.began_ms, "ended_ms": result.ended_ms}
        save(RECORDINGS / f"{case.name}.json.gz", {**head, "cannot": case.cannot}, result.requests)
