"""A process's plain numbers in; Prometheus' text of them out, over HTTP as long as the process lives.

1. One registry a process; a request reads the numbers, so counting costs an addition.
2. Beside its ready file a supervised process has a socket, for its owner alone (``run/<process>.sock``): the public
   port collects all of a machine. With ``HEADWATER_METRICS_PORT`` it answers Prometheus itself, without a key.
"""

import logging
import shutil
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from aiohttp import web
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import Metric as Family
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from schemas.service.counts import Histogram
from schemas.service.metric import EVERY
from schemas.service.metrics import BY_NAME, CATALOGUE
from schemas.service.processes import METRICS_PATH, SOCKET
from schemas.settings import Settings

log = logging.getLogger(__name__)

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
PROCESS = "process"


class Sample(NamedTuple):
    """A sample: the metric's name, and the values of its labels in their order."""

    name: str
    labels: tuple[str, ...]
    value: float | Histogram


Source = Callable[[], Iterable[Sample]]
"""Reads a part's numbers as they are now."""


class Exposition(Collector):
    """The metrics of one process: ``parts`` of the catalogue, of which ``source`` reads the numbers."""

    def __init__(self, settings: Settings, process: str, parts: Sequence[str], source: Source) -> None:
        """``process`` is its name where no supervisor gives one."""
        self.name = Path(settings.ready_file).stem if settings.ready_file else process
        self._home = settings.home
        self._wanted = [metric for metric in CATALOGUE if metric.of in (EVERY, *parts)]
        self._source = source
        self._process = ProcessCollector(registry=None)
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def text(self) -> bytes:
        """All of it in the text format, a metric without a number by its name alone."""
        return generate_latest(self._registry)

    def collect(self) -> Iterable[Family]:
        families = {
            metric.name: Family(metric.name.removesuffix("_total"), metric.meaning, metric.kind)
            for metric in self._wanted
        }
        for name, values, value in (*self._source(), *self._own()):
            labels = {PROCESS: self.name, **dict(zip(BY_NAME[name].labels, values, strict=True))}
            if isinstance(value, Histogram):
                _add(families[name], name, labels, value)
            else:
                families[name].add_sample(name, labels, value)
        return families.values()

    def _own(self) -> Iterable[Sample]:
        for family in self._process.collect():
            for sample in family.samples:
                yield Sample(sample.name, (), sample.value)
        try:
            disk = shutil.disk_usage(self._home)
        except OSError:  # not made yet
            return
        yield Sample("headwater_disk_free_bytes", (), disk.free)
        yield Sample("headwater_disk_size_bytes", (), disk.total)


def _add(family: Family, name: str, labels: dict[str, str], histogram: Histogram) -> None:
    buckets = histogram.cumulated()
    for bound, count in buckets:
        family.add_sample(f"{name}_bucket", {**labels, "le": bound}, count)
    family.add_sample(f"{name}_count", labels, buckets[-1][1])
    family.add_sample(f"{name}_sum", labels, histogram.sum)


@asynccontextmanager
async def exposed(settings: Settings, exposition: Exposition) -> AsyncIterator[None]:
    """Answer while the block runs; where a socket or the port cannot be had, the process does its work without."""
    if not settings.ready_file and not settings.metrics_port:
        yield
        return

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(body=exposition.text(), headers={"Content-Type": CONTENT_TYPE})

    app = web.Application()
    app.router.add_get(METRICS_PATH, answer)
    runner = web.AppRunner(app, access_log=None, handle_signals=False)
    await runner.setup()
    try:
        await _open(settings, runner)
        yield
    finally:
        await runner.cleanup()


async def _open(settings: Settings, runner: web.AppRunner) -> None:
    if settings.ready_file:
        path = Path(settings.ready_file).with_suffix(SOCKET)
        try:
            path.unlink(missing_ok=True)
            await web.UnixSite(runner, path).start()
            path.chmod(0o600)
        except OSError as error:  # a path of more than a hundred bytes, for one
            log.warning("no metrics at %s: %s", path, error)
    if settings.metrics_port:
        try:
            await web.TCPSite(runner, settings.metrics_host, settings.metrics_port).start()
        except OSError as error:
            log.error("no metrics at HEADWATER_METRICS_PORT=%d: %s", settings.metrics_port, error)  # noqa: TRY400 - no bug


def merged(texts: Iterable[bytes]) -> bytes:
    """Several processes' texts as one: each metric's lines together, its description once."""
    heads: dict[bytes, list[bytes]] = {}
    lines: dict[bytes, list[bytes]] = {}
    for text in texts:
        name = b""
        for line in text.splitlines():
            if line.startswith(b"# HELP "):
                name = line.split(b" ", 3)[2]
                if name not in heads:
                    heads[name], lines[name] = [], []
            if not line.startswith(b"#"):
                lines[name].append(line)
            elif line not in heads[name]:
                heads[name].append(line)
    return b"".join(b"\n".join([*heads[name], *lines[name], b""]) for name in heads)
