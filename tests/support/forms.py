"""Short and full numbers in; the numbers of this run's form, and a note of each reduction, out; pure."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Form:
    """The form of a run: short in each run of CI, full with `--full`."""

    full: bool
    left_out: list[str] = field(default_factory=list)
    """A line for each kind of test or number that the short form did without."""

    def number(self, what: str, *, short: int, full: int) -> int:
        """Returns the number of ``what`` in this run."""
        if self.full:
            return full
        self.left_out.append(f"{what}: {short:,} of {full:,}")
        return short
