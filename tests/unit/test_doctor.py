"""The doctor itself: checks that end whatever happens, a home that is not there, and the runbook's checks."""

import asyncio
import re
from pathlib import Path

import pytest

from deploy.cli.doctor import machine
from deploy.cli.doctor.check import FAIL, OK, SKIP, WARN, Check, Finding, Patient, fail, ok, result_of
from deploy.cli.doctor.command import GROUPS, groups
from deploy.client.config import ApiAccess
from deploy.local.home import StackHome
from schemas.settings import Settings
from tests.support.services import ROOT

CHECKS = [check for _, checks in GROUPS for check in checks]


def patient(home: Path, *, is_here: bool = True, **changes: object) -> Patient:
    settings = Settings(home=home).model_copy(update=changes)
    access = ApiAccess(url="http://127.0.0.1:9", key="sk_x")
    return Patient(settings=settings, home=StackHome(home), access=access, is_here=is_here)


async def _hangs(_: Patient) -> Finding:
    await asyncio.sleep(60)
    return ok("")


async def _raises(_: Patient) -> Finding:
    raise RuntimeError("two\nlines")


async def test_what_hangs_or_raises_is_a_finding_with_its_remedy(tmp_path: Path) -> None:
    hung = await result_of(Check("x", "why", _hangs, "mend it", within_s=0.05), patient(tmp_path))
    assert (hung.finding.state, hung.finding.remedy) == (FAIL, "mend it")
    raised = await result_of(Check("x", "why", _raises), patient(tmp_path))
    assert raised.finding == fail("RuntimeError: two lines", "headwater status")


def test_names_are_each_one_s_own_and_there_are_enough() -> None:
    names = [check.name for check in CHECKS]
    assert len(names) == len(set(names)) >= 25
    assert all(check.why for check in CHECKS)


def test_of_another_machine_the_api_alone_is_looked_at(tmp_path: Path) -> None:
    assert [name for name, _ in groups(patient(tmp_path, is_here=False))] == ["API"]
    assert len(groups(patient(tmp_path))) == 4


async def test_where_nothing_has_run_nothing_is_made(tmp_path: Path) -> None:
    there = tmp_path / "home"
    results = [await result_of(check, patient(there)) for check in machine.CHECKS]
    assert not there.exists()
    states = {result.check.name: result.finding.state for result in results}
    assert states["supervisor"] == FAIL
    assert states["home"] == SKIP
    assert set(states.values()) <= {OK, SKIP, WARN, FAIL}


async def test_a_home_that_others_may_read(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    finding = await machine.home(patient(tmp_path))
    assert (finding.state, finding.remedy) == (WARN, f"chmod 700 {tmp_path}")


async def test_a_misspelt_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADWATER_PARTITONS", "8")
    finding = await machine.variables(patient(tmp_path))
    assert (finding.state, "HEADWATER_PARTITIONS" in finding.remedy) == (WARN, True)


async def test_little_space(tmp_path: Path) -> None:
    finding = await machine.disk(patient(tmp_path, clickhouse_floor_mib=1 << 40))
    assert (finding.state, "writes nothing" in finding.what) == (FAIL, True)


async def test_published_keys_on_the_network(tmp_path: Path) -> None:
    finding = await machine.exposure(patient(tmp_path, host="0.0.0.0", public_dev_keys=True))
    assert (finding.state, "keys revoke" in finding.remedy) == (WARN, True)


def test_every_failure_of_the_runbook_has_a_check() -> None:
    text = (ROOT / "deploy" / "README.md").read_text()
    section = text.split("## When something is wrong")[1].split("\n### ")[0]
    table = [line.split("|")[1:-1] for line in section.splitlines() if line.startswith("|")]
    head, _, *failures = table
    at = [cell.strip() for cell in head].index("check")
    names = {check.name for check in CHECKS}
    named = [re.findall(r"`([^`]+)`", row[at]) for row in failures]
    assert len(failures) >= 7
    for row, checks in zip(failures, named, strict=True):
        assert checks, row
        assert set(checks) <= names, row
