"""What the Dockerfile installs, run as compose.yaml runs it: provisioned, sent to, read from, probed and stopped."""

import json
import os
import re
import subprocess
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from schemas.compiled import modules
from schemas.settings import Settings
from tests.support import image, services
from tests.support.forms import Form
from tests.support.image import SERVICES, SERVING
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.kafka, pytest.mark.clickhouse, pytest.mark.timeout(1200)]


class Containers:
    """The services of the compose file as processes of this machine."""

    def __init__(self, venv: Path, settings: Settings, folder: Path) -> None:
        self._bin = venv / "bin"
        self._folder = folder
        self._settings = settings
        (folder / "empty").mkdir()
        url = urlsplit(settings.clickhouse_url)
        (folder / "password").write_text(url.password or "")
        query = services.free_port()
        self.metrics = {name: services.free_port() for name in SERVING}
        self._addresses = {
            "PATH": f"{self._bin}:{os.environ['PATH']}",
            "KAFKA_BOOTSTRAP_SERVERS": settings.kafka_bootstrap_servers,
            "CLICKHOUSE_URL": f"http://{url.username}@{url.hostname}:{url.port}",
            "HEADWATER_CLICKHOUSE_PASSWORD_FILE": str(folder / "password"),
            "HEADWATER_SECRET_KEY_FILE": str(folder / "secret-key"),
            "HEADWATER_HOST": "127.0.0.1",
            "HEADWATER_QUERY_HOST": "127.0.0.1",
            "HEADWATER_METRICS_HOST": "127.0.0.1",
            "HEADWATER_PORT": str(settings.port),
            "HEADWATER_QUERY_PORT": str(query),
            "HEADWATER_QUERY_URL": f"http://127.0.0.1:{query}",
            "HEADWATER_EDGE_URL": f"http://127.0.0.1:{settings.port}",
            "HEADWATER_PARTITIONS": str(settings.partitions),
            "HEADWATER_TOPIC_PREFIX": settings.topic_prefix,
            "HEADWATER_CLICKHOUSE_DATABASE": settings.clickhouse_database,
        }
        (folder / "secret-key").write_text("0123456789abcdef0123456789abcdef")

    def home(self, name: str) -> Path:
        return self._folder / "homes" / name

    def variables(self, name: str) -> dict[str, str]:
        """Of the image, then of the service, then the addresses of this machine."""
        own = {
            "HEADWATER_HOME": str(self.home(name)),
            "HEADWATER_READY_FILE": str(self._folder / f"{name}.ready"),
            "HEADWATER_METRICS_PORT": str(self.metrics.get(name, 0)),
        }
        given = {key: value for key, value in SERVICES[name]["environment"].items() if not value.startswith("${")}
        return image.environment() | given | self._addresses | own

    def run(self, name: str, *command: str) -> subprocess.CompletedProcess[str]:
        """A command in the service's container until it ends."""
        program = [str(self._bin / command[0]), *command[1:]]
        env = {"HOME": str(self._folder)} | self.variables(name)
        return subprocess.run(
            program, cwd=self._folder / "empty", env=env, capture_output=True, text=True, timeout=120, check=False
        )

    def start(self, stack: ExitStack) -> None:
        """All that serve; returns when each says that it is ready."""
        for name in SERVING:
            python, *module = SERVICES[name]["command"]
            running = services.child(
                [str(self._bin / python), *module],
                log=self._folder / f"{name}.log",
                ready=lambda: True,
                env=self.variables(name),
                cwd=self._folder / "empty",
            )
            stack.enter_context(running)
        for name in SERVING:
            wait_until(partial(self.is_ready, name), f"{name}: {self._folder}/{name}.log", 90)

    def is_ready(self, name: str) -> bool:
        return self.run(name, "python", "-m", "deploy.health", "--ready").returncode == 0


def test_the_image_runs_as_compose_runs_it(
    settings: Settings, tmp_path: Path, form: Form, say: Callable[[str], None]
) -> None:
    if not form.full:
        form.left_out.append("the image's own compilation, where the checkout is compiled: it takes that")
    venv = image.built(tmp_path, compiled=None if form.full else modules.folder())
    assert image.compiles(venv), "the processes would run the sources"
    containers = Containers(venv, settings, tmp_path)
    made = containers.run("provision", *SERVICES["provision"]["command"])
    assert made.returncode == 0, made.stderr
    key = containers.run("provision", *SERVICES["provision"]["command"], "--first-key")
    (secret,) = re.findall(r"sk_[\w-]+", key.stdout) or pytest.fail(key.stdout + key.stderr)
    with ExitStack() as stack:
        containers.start(stack)
        headers = {"Authorization": f"Bearer {secret}", "X-Headwater-Environment": "production"}
        with httpx.Client(base_url=f"http://127.0.0.1:{settings.port}", headers=headers, timeout=30) as http:
            sent = http.post("/v1/events?sync=true&timeout_ms=10000", json={"type": "seen", "external_id": "u_1"})
            assert sent.status_code == 200, sent.text
            wait_until(lambda: http.get("/v1/contacts/external_id:u_1").status_code == 200, "the contact", 30)
            assert http.get("/docs").status_code == 200
            assert http.get("/openapi.json").status_code == 200
        for name, port in containers.metrics.items():
            text = httpx.get(f"http://127.0.0.1:{port}/metrics").text
            assert "process_resident_memory_bytes" in text, name
            assert containers.run(name, "python", "-m", "deploy.health").returncode == 0
    # what has no volume writes nothing into its home, which a container's root cannot hold
    without = [name for name in ("provision", *SERVING) if not SERVICES[name].get("volumes")]
    assert [name for name in without if containers.home(name).exists()] == []
    installed = sum(file.stat().st_size for file in (tmp_path / "venv").rglob("*") if file.is_file())
    say(f"the image's environment: {installed / 2**20:.0f} MiB, {json.dumps(sorted(without))} keep nothing")
