"""Settings in; the addresses of a real Kafka and a real ClickHouse out: given, in containers, or embedded.

A variable (``KAFKA_BOOTSTRAP_SERVERS``, ``CLICKHOUSE_URL``) wins, then a running Docker engine, then the stack's own
embedded broker and engine as child processes.
"""

import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import httpx

from deploy.local import kafka as embedded_kafka
from schemas.settings import Settings
from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[2]
KAFKA_IMAGE = "apache/kafka:4.3.1"
CLICKHOUSE_IMAGE = "clickhouse/clickhouse-server:26.8"
FRONT_PASSWORD = "a-tests-own"
READY_S = 60.0
STOP_S = 10.0

Say = Callable[[str], None]

_made: list[Settings] = []
"""Those with a database in a ClickHouse that tests share."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    address: str
    origin: str
    """given, container or embedded: what the terminal is told."""


def free_port(count: int = 1) -> int:
    """Returns the first of ``count`` neighbouring free ports on loopback."""
    for _ in range(200):
        first = 20_000 + secrets.randbelow(12_000)  # below the range of outgoing connections
        with suppress(OSError):
            for port in range(first, first + count):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
            return first
    raise RuntimeError("no free port on loopback")


def fresh_settings(home: Path, *, kafka: str = "", clickhouse: str = "") -> Settings:
    """Returns settings that share nothing with other tests, except given services."""
    unique = secrets.token_hex(4)
    broker = free_port(2)
    made = Settings(
        home=home,
        port=free_port(),
        query_port=free_port(),
        kafka_port=broker,
        clickhouse_port=free_port(),
        kafka_bootstrap_servers=kafka,
        clickhouse_url=clickhouse,
        clickhouse_database=f"t_{unique}",
        topic_prefix=f"t-{unique}.",
    )
    if clickhouse:
        _made.append(made)
    return made


def drop_databases(*, of: Settings | None = None) -> None:
    """Drops the databases of these settings, or all test databases: each table slows the engine's next one."""
    for made in [made for made in _made if of is None or made is of]:
        sql = f"DROP DATABASE IF EXISTS {made.clickhouse_database} SYNC"
        httpx.post(made.clickhouse, content=sql, timeout=60, trust_env=False).raise_for_status()
        _made.remove(made)


@contextmanager
def kafka(home: Path, given: str, say: Say) -> Iterator[Service]:
    """Yields a broker that answers its protocol."""
    if given:
        yield Service(address=given, origin="given")
    elif docker_answers():
        with _kafka_container() as address:
            yield Service(address=address, origin=f"container {KAFKA_IMAGE}")
    else:
        port = free_port(2)
        command = embedded_kafka.command(home / "kafka", port, say=say)
        with child(command, log=home / "kafka.log", ready=lambda: listens(port)):
            yield Service(address=f"127.0.0.1:{port}", origin=f"embedded {embedded_kafka.VERSION}")


@contextmanager
def clickhouse(home: Path, given: str) -> Iterator[Service]:
    """Yields the URL of a ClickHouse that answers ``/ping``."""
    if given:
        yield Service(address=given, origin="given")
    elif docker_answers():
        with _clickhouse_container() as url:
            yield Service(address=url, origin=f"container {CLICKHOUSE_IMAGE}")
    else:
        port = free_port()
        with clickhouse_front(home / "clickhouse", port):
            yield Service(address=front_url(port), origin="embedded chDB")


def front_url(port: int) -> str:
    """Returns the URL of an embedded ClickHouse from ``clickhouse_front``, with the writer's password."""
    return f"http://headwater:{FRONT_PASSWORD}@127.0.0.1:{port}"


@contextmanager
def clickhouse_front(path: Path, port: int) -> Iterator["subprocess.Popen[bytes]"]:
    """Runs the embedded ClickHouse alone, as a process that a test may kill."""
    command = (sys.executable, "-m", "deploy.local.clickhouse.server", "--path", str(path), "--port", str(port))
    ping = f"http://127.0.0.1:{port}/ping"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_suffix(".password").write_text(FRONT_PASSWORD)
    with child(command, log=path.with_suffix(".log"), ready=lambda: _pings(ping)) as process:
        yield process


@contextmanager
def child(
    command: Sequence[str],
    *,
    log: Path,
    ready: Callable[[], bool],
    env: Mapping[str, str] | None = None,
    cwd: Path = ROOT,
) -> Iterator["subprocess.Popen[bytes]"]:
    """Runs a process until the block ends; raises the end of its log if it is not ready in time."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env={**os.environ, **(env or {})},
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + READY_S
        while not ready():
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{command[:4]} did not become ready:\n{log.read_text()[-3000:]}")
            time.sleep(0.02)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@cache
def docker_answers() -> bool:
    # A separate process: the client leaves its socket open if the connection fails, and warnings are errors here.
    ask = "import docker; docker.from_env(timeout=5).ping()"
    return subprocess.run([sys.executable, "-c", ask], capture_output=True, check=False).returncode == 0


@contextmanager
def _kafka_container() -> Iterator[str]:
    from testcontainers.core.container import DockerContainer  # noqa: PLC0415

    port = free_port()  # the broker advertises its address, so it must know the outer port
    container = DockerContainer(KAFKA_IMAGE).with_bind_ports(f"{port}/tcp", port)
    for name, value in {
        "NODE_ID": "1",
        "PROCESS_ROLES": "broker,controller",
        "CONTROLLER_QUORUM_VOTERS": "1@localhost:9193",
        "LISTENERS": f"BROKER://:{port},CONTROLLER://:9193",
        "ADVERTISED_LISTENERS": f"BROKER://127.0.0.1:{port}",
        "LISTENER_SECURITY_PROTOCOL_MAP": "BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "CONTROLLER_LISTENER_NAMES": "CONTROLLER",
        "INTER_BROKER_LISTENER_NAME": "BROKER",
        "AUTO_CREATE_TOPICS_ENABLE": "false",
        "OFFSETS_TOPIC_NUM_PARTITIONS": "4",
        "OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
        "TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
        "TRANSACTION_STATE_LOG_MIN_ISR": "1",
        "SHARE_COORDINATOR_STATE_TOPIC_REPLICATION_FACTOR": "1",
        "SHARE_COORDINATOR_STATE_TOPIC_MIN_ISR": "1",
        "GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
        "MESSAGE_MAX_BYTES": str(2 * 1024 * 1024),
    }.items():
        container.with_env(f"KAFKA_{name}", value)
    with container:
        wait_until(lambda: "Kafka Server started" in str(container.get_logs()), "the broker's container", READY_S)
        yield f"127.0.0.1:{port}"


@contextmanager
def _clickhouse_container() -> Iterator[str]:
    from testcontainers.core.container import DockerContainer  # noqa: PLC0415

    container = DockerContainer(CLICKHOUSE_IMAGE).with_exposed_ports(8123)
    # without it the image's user accepts no connection from outside the container
    container.with_env("CLICKHOUSE_SKIP_USER_SETUP", "1")
    with container:
        url = f"http://{container.get_container_host_ip()}:{container.get_exposed_port(8123)}"
        wait_until(lambda: _pings(f"{url}/ping"), "ClickHouse's container", READY_S)
        yield url


def _pings(url: str) -> bool:
    with suppress(httpx.HTTPError):
        return httpx.get(url, timeout=2, trust_env=False).is_success
    return False


def listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False
