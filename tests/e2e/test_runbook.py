"""The runbook of deploy/README.md: its blocks are run, in their order."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from deploy.local.stack import environment
from tests.support.object_storage import KEY, ObjectStorage, object_storage
from tests.support.object_storage import SECRET as SECRET_KEY
from tests.support.services import ROOT
from tests.support.stack import SECRET, LocalStack, local_stack

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]
TEXT = (ROOT / "deploy" / "README.md").read_text()
RUNBOOK = TEXT.split("\n## Runbook\n", 1)[1].split("\n## ", 1)[0]
BLOCKS = re.findall(r"^```sh\n(.*?)^```", RUNBOOK, re.MULTILINE | re.DOTALL)
NEEDS = "# needs "
PREAMBLE = "set -euo pipefail\n"


def test_what_is_left_out_needs_what_no_test_has() -> None:
    left_out = [block for block in BLOCKS if block.startswith(NEEDS)]
    assert len(BLOCKS) - len(left_out) >= 7
    assert all(block.startswith(("# needs Kubernetes", "# needs a cluster of ClickHouse")) for block in left_out)
    assert all(re.search(r"^(helm|kubectl) |HEADWATER_CLICKHOUSE_CLUSTER=", block, re.MULTILINE) for block in left_out)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """With some events, and nothing on its way."""
    with local_stack(tmp_path_factory.mktemp("runbook")) as running:
        for n in range(20):
            body = {"type": "order_completed", "user_id": f"u{n % 7}", "anonymous_id": f"a{n}", "event_id": f"run-{n}"}
            url = f"{running.url}/v1/events?sync=true&timeout_ms=10000"
            httpx.post(url, json=body, headers=SECRET, trust_env=False, timeout=60).raise_for_status()
        yield running


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[ObjectStorage]:
    with object_storage(tmp_path) as running:
        yield running


def test_each_block_does_what_it_says(own: LocalStack, storage: ObjectStorage, tmp_path: Path) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    for name, words in {"python": "", "headwater": " -m deploy.cli"}.items():
        (programs / name).write_text(f'#!/bin/sh\nexec {sys.executable}{words} "$@"\n')
        (programs / name).chmod(0o755)
    settings = own.settings.model_copy(update={"home": tmp_path / "home"})
    variables = environment(settings) | {
        "KAFKA_BOOTSTRAP_SERVERS": settings.bootstrap,
        "CLICKHOUSE_URL": own.settings.clickhouse,
        "HEADWATER_URL": own.url,
        "HEADWATER_KEY": SECRET["Authorization"].removeprefix("Bearer "),
        "AWS_ENDPOINT_URL": storage.endpoint,
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY_FILE": str(tmp_path / "s3-secret"),
        "PYTHONPATH": str(ROOT),
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
    }
    (tmp_path / "s3-secret").write_text(SECRET_KEY)
    script = PREAMBLE + "\n".join(block for block in BLOCKS if not block.startswith(NEEDS))
    done = subprocess.run(
        ["bash", "-x", "-c", script],
        cwd=tmp_path,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    assert "segments 1: its partitions are handed over" in done.stdout
    assert "contacts is rebuilt" in done.stdout
    assert "nothing to do" in done.stdout
    counted = re.findall(r"^(\d+)\t(\d+)$", done.stdout, re.MULTILINE)
    assert len(counted) == 2, "of the folder, and of S3"
    assert all(stored == restored != "0" for stored, restored in counted), counted
    assert SECRET_KEY not in done.stdout + done.stderr
