"""Settings in; the whole pipeline as supervised processes on this machine out, in the order of their needs.

Kafka and ClickHouse start side by side, each only where no address replaces it; then topics, tables and the
local workspace are provisioned by a process of its own, which has loaded its libraries by the time they
answer; then everything else starts at once.
"""

import asyncio
import json
import os
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import nullcontext

from deploy.local import kafka
from deploy.local.clickhouse.password import password_of
from deploy.local.home import StackHome
from deploy.local.supervisor import ROOT, Process, Supervisor
from schemas.control.development import PUBLIC_KEY, SECRET_KEY
from schemas.service.processes import states
from schemas.settings import PREFIX, Settings, variable

SERVICES_WITHIN_S = 60.0
ALL_WITHIN_S = 90.0
SETTLES_WITHIN_S = 3.0
BEHIND, LAST = 5, 10
"""Niceness of the stages and the database, and of webhooks. Where processors are short, the edge answers first; the
stages then do more per unit, which costs less."""

Say = Callable[[str], None]


class StackError(Exception):
    """The stack cannot start; the text names the reason and the remedy."""


def environment(settings: Settings) -> dict[str, str]:
    """The variables that make a child read exactly these settings."""
    variables = {}
    for name in Settings.model_fields:
        variables[variable(name)] = str(getattr(settings, name))
    # one port cannot be that of all; the public port answers for each of them
    variables[variable("metrics_port")] = "0"
    # glibc gives each thread an arena of its own, and RocksDB has many: a third of a worker's memory for nothing
    variables["MALLOC_ARENA_MAX"] = "1"
    return variables


def services(settings: Settings, say: Say) -> list[Process]:
    """The broker and the database, unless others are configured; blocks while the broker is being downloaded."""
    env, layer = environment(settings), []
    if not settings.clickhouse_url:
        path, port = settings.home / "clickhouse", settings.clickhouse_port
        password_of(path)  # before the processes beside the database look for it
        command = ("-m", "deploy.local.clickhouse.server", "--path", str(path), "--port", str(port))
        floor = str(settings.clickhouse_floor_mib * 1024 * 1024)
        layer.append(
            Process(
                name="clickhouse",
                command=(sys.executable, *command, "--floor-bytes", floor),
                env=env,
                probe=lambda: answers(f"http://127.0.0.1:{port}/ping"),
                niceness=BEHIND,
            )
        )
    if not settings.kafka_bootstrap_servers:
        layer.append(
            Process(
                name="kafka",
                command=kafka.command(settings.home / "kafka", settings.kafka_port, say=say),
                env=env,
                probe=lambda: kafka.accepts(settings.bootstrap),
            )
        )
    return layer


def stages(settings: Settings) -> list[list[Process]]:
    """Our own processes, readers before writers, so that stopping drains."""
    env = environment(settings)
    workers = [("identity", settings.identity_workers), ("segments", settings.segments_workers)]
    processors = [
        _python(_numbered(stage, n), "processors", stage, env=env | {f"{PREFIX}WORKER": str(n)}, niceness=BEHIND)
        for stage, count in workers
        for n in range(count)
    ]
    return [
        [
            _python("clickhouse-sink", "sinks", "clickhouse", env=env, niceness=BEHIND),
            _python("query", "sinks", "query", env=env),
            _python("webhooks", "sinks", "webhooks", env=env, niceness=LAST),
            *processors,
        ],
        [
            _python(_numbered("ingest", n), "ingest", env=env | {f"{PREFIX}WORKER": str(n)})
            for n in range(settings.edges)
        ],
    ]


def _numbered(name: str, n: int) -> str:
    return f"{name}-{n + 1}" if n else name


def _python(name: str, *module: str, env: dict[str, str], niceness: int = 0) -> Process:
    return Process(name=name, command=(sys.executable, "-m", *module), env=env, beats=True, niceness=niceness)


class Stack:
    """Starts and stops every process of a local stack."""

    def __init__(self, settings: Settings, say: Say) -> None:
        self.settings = settings.model_copy(update={"home": settings.home.resolve()})
        self.home = StackHome(self.settings.home)
        self._say = say
        self._supervisor = Supervisor(self.home, say)

    async def start(self) -> None:
        """Return when the public port says that it is ready; raises ``StackError`` or ``NotReadyError``."""
        settings, began = self.settings, time.monotonic()
        for name in self.home.end_left_over():
            self._say(f"{name}: ended, it was left over")
        self._check_ports()
        if not settings.kafka_bootstrap_servers and not kafka.is_cached():
            await self._once("deploy.local.kafka", log=None)
        layer = await asyncio.to_thread(services, settings, self._say)
        names = [process.name for process in layer]
        self._say(f"{', '.join(names) or 'your services'}: starting")
        await self._supervisor.start(layer)
        provisioned = asyncio.create_task(self._once("deploy.local", "provision", log="provision"))
        try:
            await self._supervisor.ready(*names, within_s=SERVICES_WITHIN_S)
            await provisioned
        finally:
            provisioned.cancel()
        self._say(f"topics, tables, workspace: ready after {time.monotonic() - began:.1f} s")
        names = []
        for layer in stages(settings):
            names += [process.name for process in layer]
            await self._supervisor.start(layer)
        self._say(f"{', '.join(names)}: starting")
        await self._supervisor.ready(*names, within_s=ALL_WITHIN_S)
        await self._answer_ready(time.monotonic() + ALL_WITHIN_S)
        self._say(f"ready after {time.monotonic() - began:.1f} s")

    async def stop(self) -> None:
        await self._supervisor.stop()

    async def _once(self, *module: str, log: str | None) -> None:
        # A process of its own: it can be stopped, and its libraries do not stay in the supervisor's memory.
        with self.home.open_log(log) if log else nullcontext() as output:
            child = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-m", *module),
                cwd=ROOT,
                env={**os.environ, **environment(self.settings)},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        try:
            status = await child.wait()
        except asyncio.CancelledError:
            child.kill()
            await child.wait()
            raise
        if status:
            raise StackError(f"{' '.join(module)} failed:\n{self.home.log_tail(log) if log else ''}")

    async def _answer_ready(self, deadline: float) -> None:
        url = f"{address(self.settings)}/health/ready"
        while not await answers(url):
            if time.monotonic() > deadline:
                raise StackError(f"{url} does not answer 200; the end of ingest's log:\n{self.home.log_tail('ingest')}")
            await asyncio.sleep(0.05)
        # each process has yet to write its heartbeat: the next `status` finds it
        deadline = time.monotonic() + SETTLES_WITHIN_S
        while time.monotonic() < deadline and any(state.state != "ok" for state in states(self.home.run)):  # noqa: ASYNC110 - files of other processes
            await asyncio.sleep(0.05)

    def _check_ports(self) -> None:
        settings = self.settings
        ports = {"PORT": settings.port, "QUERY_PORT": settings.query_port}
        if not settings.kafka_bootstrap_servers:
            ports |= {"KAFKA_PORT": settings.kafka_port, "KAFKA_PORT + 1": settings.kafka_port + 1}
        if not settings.clickhouse_url:
            ports["CLICKHOUSE_PORT"] = settings.clickhouse_port
        for name, port in ports.items():
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections closed just now do not count
                try:
                    probe.bind((settings.host if name == "PORT" else "127.0.0.1", port))
                except OSError as error:
                    raise StackError(
                        f"port {port} is taken ({error.strerror}): set {PREFIX}{name} to a free one"
                    ) from error


def address(settings: Settings) -> str:
    host = "127.0.0.1" if settings.host == "0.0.0.0" else settings.host  # noqa: S104 - to connect, not to listen
    return f"http://{host}:{settings.port}"


async def answers(url: str, key: str = "") -> bool:
    """Whether it answers 200, to the holder of the key where there is one."""

    def ask() -> bool:
        request = urllib.request.Request(url, headers={"Authorization": f"Bearer {key}"} if key else {})  # noqa: S310 - our own loopback address
        try:
            with urllib.request.urlopen(request, timeout=2) as answer:  # noqa: S310 - same
                return bool(answer.status == 200)
        except (OSError, urllib.error.URLError):
            return False

    return await asyncio.to_thread(ask)


async def console_link(url: str, key: str) -> str:
    """An address that signs a browser in with the key, once; empty where the console is away."""

    def ask() -> str:
        request = urllib.request.Request(  # noqa: S310 - our own loopback address
            f"{url}/console/links", b"", {"Authorization": f"Bearer {key}"}, method="POST"
        )
        try:
            with urllib.request.urlopen(request, timeout=2) as answer:  # noqa: S310 - same
                return url + str(json.loads(answer.read())["path"])
        except (OSError, ValueError):
            return ""

    return await asyncio.to_thread(ask)


async def greeting(settings: Settings) -> str:
    """The text after a start: the address, the valid keys, and three commands."""
    url = address(settings)
    if not await answers(f"{url}/v1/keys/key_local_secret", SECRET_KEY):
        return f"""
Headwater listens on {url}
  The key {SECRET_KEY} is not valid here: use one of your own. If there is none, this makes one:
  python -m deploy.provision --first-key --workspace local
"""
    has_public = await answers(f"{url}/v1/keys/key_local_public", SECRET_KEY)
    public = f"    public key {PUBLIC_KEY}" if has_public else ""
    event = json.dumps({"type": "page_viewed", "external_id": "u_1", "properties": {"path": "/"}})
    auth = f"-H 'Authorization: Bearer {SECRET_KEY}'"
    link = await console_link(url, SECRET_KEY)
    console = f"\n  open {link}    (the console; signs in one browser, once, within ten minutes)\n" if link else ""
    return f"""
Headwater listens on {url}{console}
  secret key {SECRET_KEY}{public}    (workspace local, environment production)

  curl -X POST {url}/v1/events {auth} -H 'Content-Type: application/json' -d '{event}'
  curl {auth} {url}/v1/contacts/external_id:u_1
  curl {auth} {url}/v1/segments
"""
