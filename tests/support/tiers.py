"""Every tier of tests in; their runs in separate processes, two at a time if cores allow, and one verdict, out.

`python -m tests.support.tiers`, with `--full` in the full form; the end names all that the short form left out. A
tier's services end with its process, so they take no CPU from later tiers. The tier of faults mostly waits, so it runs
beside the others, in parts. Each process gets the options of `PYTEST_ADDOPTS`.
"""

import asyncio
import os
import subprocess
import sys
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

from deploy.compile import compiler

ROOT = Path(__file__).resolve().parents[2]
TIERS = ("unit", "property", "golden", "contract", "integration", "e2e", "faults", "sdks", "console")
AT_ONCE = 2 if (os.cpu_count() or 1) >= 4 else 1
"""On two cores a second process makes the whole little shorter, and tests with a deadline of their own fail."""
FAULTS = 3
"""Processes that share the files of the tier of faults."""
LONGEST_FIRST = ("e2e", "console", "integration", "sdks", "contract", "unit", "property", "golden")
COMPILED = {
    "property": (
        *("ingest_odd_values", "ingest_deep_values", "ingest_batch_order", "ingest_collect", "ingest_once"),
        *("sink_rows", "sink_block", "sink_dedupe", "webhook_messages", "webhook_unread", "rule", "segments_steps"),
    ),
    "golden": (),
}
"""Tiers whose own process runs the compiled modules, and unit tests that run beside them so too.

Processes of a stack run the compiled modules in every tier.
"""
TAIL = 200
"""Lines of a failed part that are said again at the end."""
LEFT_OUT = "left out: "
ERROR = "E  "
"""How pytest begins a line of an error."""
ERRORS = 15
"""Lines of errors of a failed part that are said again after the verdicts."""


@dataclass(slots=True)
class TierPart:
    """The files of one tier that one process runs."""

    name: str
    paths: list[str]
    options: tuple[str, ...] = ()
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=TAIL))
    left_out: list[str] = field(default_factory=list)
    errors: dict[str, None] = field(default_factory=dict)
    """The first different lines of its tests' errors, in their order."""
    seconds: float = 0.0
    code: int | None = None


def parts() -> list[TierPart]:
    """Returns the parts of all tiers, in the order of their start."""
    files = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "tests" / "faults").glob("test_*.py"))
    faults = [TierPart(f"faults-{n + 1}", files[n::FAULTS]) for n in range(FAULTS)]
    others = [_part(tier) for tier in LONGEST_FIRST]
    return [part for pair in zip(faults, others, strict=False) for part in pair] + others[FAULTS:]


def _part(tier: str) -> TierPart:
    if tier not in COMPILED:
        return TierPart(tier, [f"tests/{tier}"])
    files = [f"tests/unit/test_{name}.py" for name in COMPILED[tier]]
    return TierPart(tier, [f"tests/{tier}", *files], ("-p", "schemas.compiled.use"))


def variables() -> dict[str, str]:
    """Returns a process's variables: it may cache compiled modules, which saves hundreds of compilations."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


async def run(part: TierPart, options: list[str]) -> None:
    """Runs a part; prints each line of output at once, after the part's name."""
    began = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pytest", *part.options, *options, *part.paths),
        cwd=ROOT,
        env=variables(),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        limit=1 << 24,
    )
    assert process.stdout is not None
    async for line in process.stdout:
        text = line.decode(errors="replace").rstrip()
        part.lines.append(text)
        if text.startswith(LEFT_OUT):
            part.left_out.append(text.removeprefix(LEFT_OUT))
        if text.startswith(ERROR) and len(part.errors) < ERRORS:
            part.errors[text[:400]] = None
        print(f"{part.name:<11} | {text}", flush=True)
    part.code, part.seconds = await process.wait(), time.monotonic() - began


async def run_all(waiting: list[TierPart], options: list[str]) -> None:
    queue = deque(waiting)

    async def lane() -> None:
        while queue:
            await run(queue.popleft(), options)

    await asyncio.gather(*(lane() for _ in range(AT_ONCE)))


def main(options: list[str]) -> int:
    """Returns 0 if every part passed; the options are pytest's."""
    began, some = time.monotonic(), parts()
    if compiler() is None:
        print(f"{LEFT_OUT}the compiled form of the hot path: no C compiler, or no headers of Python")
    elif subprocess.run([sys.executable, "-m", "deploy.compile"], cwd=ROOT, check=False).returncode:
        return 1
    asyncio.run(run_all(some, options))
    failed = [part for part in some if part.code != 0]
    for part in failed:
        print(f"\n{'=' * 20} the end of {part.name} {'=' * 20}", *part.lines, sep="\n")
    print()
    for line in dict.fromkeys(line for part in some for line in part.left_out):
        print(f"{LEFT_OUT}{line}")
    for part in some:
        verdict = "passed" if part.code == 0 else f"FAILED ({part.code})"
        print(
            f"{part.name:<11} {part.seconds:6.0f} s  {verdict:<10} {part.lines[-1].strip(' =') if part.lines else ''}"
        )
    for part in failed:
        print(f"\n{part.name}: the first lines of its errors", *part.errors, sep="\n")
    print(f"{len(some) - len(failed)} of {len(some)} parts passed in {time.monotonic() - began:.0f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
