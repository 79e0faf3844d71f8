"""The alert rules as Prometheus evaluates them, where `promtool` is on the path: each fires on its fault alone."""

import shutil
import subprocess

import pytest
import yaml

from tests.support.services import ROOT

FOLDER = ROOT / "deploy" / "observability"
PROMTOOL = shutil.which("promtool")
pytestmark = pytest.mark.promtool


def promtool(*arguments: str) -> str:
    """Raises ``CalledProcessError`` where it finds a fault."""
    assert PROMTOOL is not None
    command = [PROMTOOL, *arguments]
    return subprocess.run(command, cwd=FOLDER, check=True, text=True, stdout=subprocess.PIPE, timeout=120).stdout


def test_prometheus_takes_the_rules() -> None:
    assert "17 rules found" in promtool("check", "rules", "alerts.yaml")


def test_each_rule_fires_on_its_fault_and_none_in_a_healthy_hour() -> None:
    assert "SUCCESS" in promtool("test", "rules", "alerts.test.yaml")


def test_no_rule_is_left_out() -> None:
    rules = yaml.safe_load((FOLDER / "alerts.yaml").read_text())["groups"][0]["rules"]
    text = (FOLDER / "alerts.test.yaml").read_text()
    assert [rule["alert"] for rule in rules if rule["alert"] not in text] == []
