"""The embedded database, started with a floor that no disk has: it reads, refuses to write, and says so."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.support.services import FRONT_PASSWORD, ROOT, free_port, front_url

pytestmark = pytest.mark.clickhouse


@contextmanager
def serving(path: Path, floor: int) -> Iterator[str]:
    port = free_port()
    path.with_suffix(".password").write_text(FRONT_PASSWORD)
    command = [sys.executable, "-m", "deploy.local.clickhouse.server", "--path", str(path), "--port", str(port)]
    process = subprocess.Popen([*command, "--floor-bytes", str(floor)], cwd=ROOT)
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                httpx.get(f"http://127.0.0.1:{port}/ping")
                break
            except httpx.TransportError:
                assert process.poll() is None and time.monotonic() < deadline  # noqa: PT018
                time.sleep(0.1)
        yield front_url(port)
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    with serving(tmp_path, 10**18) as served:
        yield served


def test_below_the_floor_it_reads_refuses_writes_with_243_and_is_not_healthy(url: str) -> None:
    health = httpx.get(f"{url}/health", timeout=30)
    assert health.status_code == 503
    assert health.json()["state"] == "disk_full"
    assert str(10**18) in health.json()["reason"]
    made = httpx.post(url, content="CREATE TABLE default.t (x UInt8) ENGINE = MergeTree ORDER BY x", timeout=30)
    assert made.status_code == 200, made.text
    for sql in ("INSERT INTO default.t VALUES (1)", "ALTER TABLE default.t DELETE WHERE x = 1"):
        refused = httpx.post(url, content=sql, timeout=30)
        assert refused.headers["X-ClickHouse-Exception-Code"] == "243"
        assert str(10**18) in refused.text
    assert httpx.post(url, content="SELECT count() FROM default.t", timeout=30).text == "0\n"
