"""A fresh home and free ports in; a whole local stack, started by `python -m deploy.local up`, out."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import clickhouse_connect
import httpx
import psutil
from clickhouse_connect.driver.asyncclient import AsyncClient

from deploy.local.stack import environment
from schemas.settings import Settings
from tests.support.services import ROOT, child, free_port, fresh_settings

SECRET = {"Authorization": "Bearer sk_dev_local"}


@dataclass(frozen=True, slots=True)
class LocalStack:
    settings: Settings

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.settings.port}"

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self.url, headers=SECRET, timeout=30, trust_env=False)

    async def database(self) -> AsyncClient:
        """Returns an analyst's ClickHouse client; the caller closes it."""
        return await clickhouse_connect.get_async_client(
            dsn=self.settings.clickhouse, database=self.settings.clickhouse_database, autogenerate_session_id=False
        )

    def pid(self, process: str) -> int:
        return int((self.settings.home / "run" / f"{process}.pid").read_text().split()[0])

    def processes(self) -> dict[str, psutil.Process]:
        """Returns the processes by name from their pid files, without the supervisor."""
        running = {}
        for path in (self.settings.home / "run").glob("*.pid"):
            if path.stem != "supervisor":
                running[path.stem] = psutil.Process(self.pid(path.stem))
        return running

    def log_tails(self, size: int = 1500) -> str:
        """Returns the end of every log, for a failed assertion."""
        logs = sorted((self.settings.home / "logs").glob("*.log"))
        return "\n".join(f"--- {p.name}\n{p.read_text(errors='replace')[-size:]}" for p in logs)


def command(settings: Settings, word: str, env: Mapping[str, str] | None = None) -> "subprocess.CompletedProcess[str]":
    """Runs one of the stack's own commands with these settings; ``env`` adds variables."""
    return subprocess.run(
        [sys.executable, "-m", "deploy.local", word],
        cwd=ROOT,
        env={**os.environ, **environment(settings), **(env or {})},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )


@contextmanager
def edge_beside(
    stack: LocalStack, home: Path, **changes: object
) -> Iterator[tuple["subprocess.Popen[bytes]", httpx.Client]]:
    """Runs another edge of the same cluster, with its own memory; ``changes`` are settings."""
    settings = stack.settings.model_copy(update={"home": home, "port": free_port(), **changes})
    url = f"http://127.0.0.1:{settings.port}"
    with httpx.Client(base_url=url, headers=SECRET, timeout=30, trust_env=False) as http:

        def is_ready() -> bool:
            try:
                return http.get("/health/ready").status_code == 200
            except httpx.HTTPError:
                return False

        command = (sys.executable, "-m", "ingest")
        with child(command, log=home / "edge.log", ready=is_ready, env=environment(settings)) as process:
            yield process, http


@contextmanager
def local_stack(home: Path, env: Mapping[str, str] | None = None, **changes: object) -> Iterator[LocalStack]:
    """Starts a stack for the block, then stops it; ``changes`` are settings, ``env`` other variables."""
    settings = fresh_settings(home).model_copy(
        update={"topic_prefix": "", "clickhouse_database": "headwater", **changes}
    )
    stack = LocalStack(settings)
    up = command(settings, "up", env)
    try:
        assert up.returncode == 0, f"{up.stdout}{up.stderr}\n{stack.log_tails()}"
        yield stack
    finally:
        command(settings, "down")
