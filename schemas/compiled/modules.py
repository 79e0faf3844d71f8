"""The hot path's modules, and a finder that imports their compiled form where `python -m deploy.compile` has made it.

mypyc compiles the sources as they are, from their type annotations. Some forms stay as slow as interpreted ones, so in
these modules constants are ``Final`` (else each use looks the name up), sequences in loops are lists, records that are
made for each event are dict literals, and objects that are have an ``__init__`` of their own. Compiled code holds the
values of ``Final`` constants: a test that replaces one has to run the sources.

The name of the folder of compiled modules is a digest of the interpreter and of all that the compiler may read. After
an edit Python runs the sources.
"""

import hashlib
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES, ExtensionFileLoader, ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[2]
MODULES: tuple[str, ...] = (
    "ingest.contacts.parse",
    "ingest.dialects.altacee",
    "ingest.dialects.altacee_contacts",
    "ingest.events.ack_cache",
    "ingest.events.batch",
    "ingest.events.batching",
    "ingest.events.canonical",
    "ingest.events.edge",
    "ingest.events.event_time",
    "ingest.events.raw",
    "processors.identity.forward",
    "processors.identity.graph",
    "processors.identity.guard",
    "processors.identity.resolve",
    "processors.identity.resolver",
    "processors.identity.seen_events",
    "processors.identity.stage",
    "processors.identity.store",
    "processors.identity.union",
    "processors.membership.changes",
    "processors.membership.conditions",
    "processors.membership.contact_state",
    "processors.membership.plans",
    "processors.membership.profile",
    "processors.membership.session",
    "processors.runtime.foreign",
    "processors.runtime.grouping",
    "processors.runtime.stage",
    "processors.segments.outbox",
    "processors.segments.stage",
    "processors.segments.unit",
    "schemas.caches.recent_keys",
    "schemas.caches.recent_rows",
    "schemas.control.erasure",
    "schemas.ids",
    "schemas.records.identity",
    "schemas.records.mergemap",
    "schemas.records.sameness",
    "schemas.records.tenancy",
    "schemas.records.varint",
    "schemas.rules.aggregates",
    "schemas.rules.compare",
    "schemas.rules.evaluate",
    "schemas.rules.facts",
    "schemas.rules.steps",
    "schemas.rules.windows",
    "sinks.clickhouse.block",
    "sinks.clickhouse.dedupe",
    "sinks.clickhouse.link_rows",
    "sinks.clickhouse.rows",
    "sinks.clickhouse.streams",
    "sinks.webhooks.messages",
    "sinks.webhooks.notification_state",
)
"""Each takes more than a few percent of a process's CPU under load; none opens a connection of its own. A value that is
not of its annotated type raises ``TypeError``: fields that a client fills unchecked are ``Any``."""
PACKAGES = ("ingest", "processors", "schemas", "sinks")
"""The packages of these modules, and of all that they import."""
SUFFIX = EXTENSION_SUFFIXES[0]
"""Of compiled modules; it names the interpreter, its version and the platform."""


def source(module: str) -> Path:
    """The file of a module of ours."""
    return ROOT.joinpath(*module.split(".")).with_suffix(".py")


def _read_by_compiler() -> Iterator[Path]:
    """Yields the files that compiled code follows from: also types, functions and constants of other modules."""
    for package in PACKAGES:
        yield from (ROOT / package).rglob("*.py")
        yield from (ROOT / package).rglob("*.avsc")
    yield ROOT / "deploy" / "compile.py"


@cache
def folder() -> Path:
    """The folder that holds, or would hold, the modules compiled from the sources as they are now."""
    digest = hashlib.sha256(SUFFIX.encode())
    for file in sorted(_read_by_compiler()):
        digest.update(b"%s %d " % (str(file.relative_to(ROOT)).encode(), file.stat().st_size))
        digest.update(file.read_bytes())
    return ROOT / ".compiled" / digest.hexdigest()[:16]


class CompiledFinder:
    """Finds compiled modules before Python looks for their sources."""

    def __init__(self, path: Path) -> None:
        names = (file.relative_to(path).as_posix() for file in path.rglob(f"*{SUFFIX}"))
        self._files = {name.removesuffix(SUFFIX).replace("/", "."): path / name for name in names}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """As ``importlib.abc.MetaPathFinder`` says; ``None``: another finder knows the module."""
        file = self._files.get(fullname)
        if file is None:
            return None
        return spec_from_file_location(fullname, file, loader=ExtensionFileLoader(fullname, str(file)))


def use() -> None:
    """Makes this process import compiled modules from here on, where there are any."""
    if (ROOT / ".compiled").is_dir() and folder().is_dir():
        sys.meta_path.insert(0, CompiledFinder(folder()))


def is_used() -> bool:
    """Whether this process imports compiled modules."""
    return any(isinstance(finder, CompiledFinder) for finder in sys.meta_path)
