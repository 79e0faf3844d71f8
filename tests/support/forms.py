"""Short and full numbers in, those of the run's form out; what the short form leaves out is noted; pure."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Form:
    """Short in each run of CI, full by command: `--full`."""

    full: bool
    left_out: list[str] = field(default_factory=list)
    """A line for each kind of test or number that the short form did without."""

    def number(self, what: str, *, short: int, full: int) -> int:
        """How many ``what`` there are in this run."""
        if self.full:
            return full
        self.left_out.append(f"{what}: {short:,} of {full:,}")
        return short
