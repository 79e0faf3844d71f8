"""clickhouse-jdbc (so DBeaver, Metabase, DataGrip) and clickhouse-go over HTTP, unmodified, read and write the tables.

Each program asks for rows, one value, nothing, something wrong, what a database tool asks for by itself, and inserts.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support import services

pytestmark = [pytest.mark.clickhouse, pytest.mark.timeout(900)]
SOURCES = Path(__file__).parent / "analysts"
ORDERS = "kind LowCardinality(String), total Float64, tags Map(String, String), plan Nullable(String)"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    port = services.free_port()
    with (
        services.clickhouse_front(tmp_path_factory.mktemp("front") / "data", port),
        httpx.Client(base_url=services.front_url(port), timeout=30) as client,
    ):
        for sql in (
            "CREATE DATABASE shop",
            f"CREATE TABLE shop.orders ({ORDERS}) ENGINE = MergeTree ORDER BY kind",
            "INSERT INTO shop.orders VALUES ('paid', 9.5, {'a': 'b'}, NULL)",
        ):
            client.post("/", content=sql).raise_for_status()
        yield f"127.0.0.1:{port}"


def run(folder: Path, *command: str, **env: str) -> str:
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **env}, capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, f"{command}: {done.stdout[-2000:]}{done.stderr[-4000:]}"
    return done.stdout


def needs(*tools: str) -> None:
    missing = [tool for tool in tools if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed")


def answers(output: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.splitlines() if line.startswith("{")]


def test_clickhouse_go_over_http_in_each_compression(address: str, tmp_path: Path) -> None:
    needs("go")
    folder = Path(shutil.copytree(SOURCES / "go", tmp_path / "go"))
    # the compiler's own checks are not what is tested
    run(folder, "go", "build", "-o", "analysts", ".", GOFLAGS="-mod=mod")
    results = answers(run(folder, "./analysts", address, services.FRONT_PASSWORD))
    assert [result.pop("compression") for result in results] == ["none", "lz4", "zstd", "gzip"]
    for result in results:
        assert "`missing`" in result.pop("refused")
        assert result == {
            "rows": 200_000,
            "sum": sum(range(200_000)),
            "zone": "Europe/Berlin",
            "one": ["paid", 9.5, {"a": "b"}, None],
            "nothing": True,
            "stored": 1000,
        }


def test_clickhouse_jdbc_with_its_defaults_and_with_other_compressions(address: str, tmp_path: Path) -> None:
    needs("mvn", "java")
    folder = Path(shutil.copytree(SOURCES / "java", tmp_path / "java"))
    run(folder, "mvn", "-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=lib")
    results = answers(run(folder, "java", "-cp", "lib/*", "Analysts.java", address, services.FRONT_PASSWORD))
    assert [result.pop("option") for result in results] == [
        "",
        "?compress=false",
        "?client.use_http_compression=true",
        "?decompress=true",
    ]
    for result in results:
        assert result == {
            "rows": 200_000,
            "sum": sum(range(200_000)),
            "one": 9.5,
            "tables": "orders",
            "columns": 4,
            "nothing": True,
            "refused": 0,
            "why": True,
            "stored": 1000,
        }
