"""Two checkouts in; the CPU of each step for a new contact of a batch in both, and the ratio, out.

Runs of both alternate, so other load makes both dearer: ratios hold, microseconds do not.
`python -m tests.bench.steps.against OTHER [ROUNDS]` compares this checkout with that of the folder ``OTHER``.
"""

import os
import statistics
import subprocess
import sys
from pathlib import Path

ROUNDS = 40
STEPS = Path(__file__).with_name("contact.py").resolve()


class Checkout:
    """A process that runs a checkout's steps on request."""

    def __init__(self, folder: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(STEPS)],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": "."},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.steps = self._line().split(",")
        self.costs: dict[str, list[float]] = {step: [] for step in self.steps}

    def run(self, step: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{step}\n")
        self._process.stdin.flush()
        self.costs[step].append(float(self._line()))

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def end(self) -> None:
        self._process.communicate()


def main() -> None:
    """Prints each step's minimum of both in µs, and the median of the ratios."""
    other, this = Checkout(sys.argv[1]), Checkout(".")
    for turn in range(int(sys.argv[2]) if len(sys.argv) > 2 else ROUNDS):
        for step in this.steps:
            for checkout in (other, this) if turn % 2 else (this, other):
                checkout.run(step)
    for step in this.steps:
        before, after = other.costs[step], this.costs[step]
        ratio = statistics.median(b / a for a, b in zip(before, after, strict=True))
        print(f"{step:20} {min(before):6.1f} us before, {min(after):6.1f} us now, ratio {ratio:.2f}")
    for checkout in (other, this):
        checkout.end()


if __name__ == "__main__":
    main()
