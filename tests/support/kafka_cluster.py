"""A folder in; three embedded brokers that replicate to each other, each a process that a test may kill, out."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.local import kafka as embedded_kafka
from tests.support import services

SIZE = 3

REPLICATED = """\
node.id={node}
controller.quorum.voters={voters}
offsets.topic.replication.factor=3
transaction.state.log.replication.factor=3
transaction.state.log.min.isr=2
share.coordinator.state.topic.replication.factor=3
share.coordinator.state.topic.min.isr=2
"""


class KafkaCluster:
    """Brokers 0, 1 and 2; a restarted broker has its earlier data."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._first = services.free_port(2 * SIZE)
        self._java = embedded_kafka.java_with(embedded_kafka.jars())
        self._running: list[subprocess.Popen[bytes] | None] = [None] * SIZE

    @property
    def bootstrap(self) -> str:
        return ",".join(f"127.0.0.1:{self._port(number)}" for number in range(SIZE))

    def _port(self, number: int) -> int:
        return self._first + 2 * number

    def format(self) -> None:
        """Formats the directories of all brokers, as one cluster."""
        cluster_id = embedded_kafka.new_cluster_id()
        voters = ",".join(f"{number + 1}@127.0.0.1:{self._port(number) + 1}" for number in range(SIZE))
        for number in range(SIZE):
            port, data = self._port(number), self._home / f"broker{number}"
            data.mkdir(parents=True)
            own = REPLICATED.format(node=number + 1, voters=voters)
            text = embedded_kafka.PROPERTIES.format(port=port, controller=port + 1, data=data) + own
            properties = data / "server.properties"
            properties.write_text(text)
            embedded_kafka.format_directory(self._java, properties, cluster_id)

    def start(self, *numbers: int) -> None:
        """Starts brokers; they accept connections some seconds later."""
        for number in numbers:
            data = self._home / f"broker{number}"
            with (data / "broker.log").open("ab") as log:
                self._running[number] = subprocess.Popen(
                    [*self._java, "kafka.Kafka", str(data / "server.properties")],
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )

    def listens(self, number: int) -> bool:
        return services.listens(self._port(number))

    def kill(self, number: int) -> None:
        """Kills brokers at once, like a loss of power."""
        process = self._running[number]
        assert process is not None
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        self._running[number] = None

    def stop(self) -> None:
        for number, process in enumerate(self._running):
            if process is not None:
                self.kill(number)


@contextmanager
def kafka_cluster(home: Path) -> Iterator[KafkaCluster]:
    """Starts three brokers, and ends them after the block."""
    cluster = KafkaCluster(home)
    cluster.format()
    try:
        cluster.start(*range(SIZE))
        yield cluster
    finally:
        cluster.stop()
