"""What `make status` and the doctor say of a stage: its own metrics, read at its socket."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local.figures import Figures, faults, read
from deploy.local.status import _with
from schemas.service.exposition import Exposition, Sample
from schemas.service.metric import READER, SINK, WORKER
from schemas.service.processes import ProcessState
from schemas.settings import Settings


def figures(**more: object) -> Figures:
    figures = Figures(oldest_s={"resolved": 0.0, "changes": 0.0})
    for name, value in more.items():
        setattr(figures, name, value)
    return figures


@pytest.mark.parametrize(
    ("figure", "state", "is_fault", "reason"),
    [
        (figures(), "", False, ""),
        (figures(oldest_s={"resolved": 4.9}), "", False, ""),
        (
            figures(oldest_s={"changes": 2.0, "resolved": 12.3}, behind={"resolved": 3400}),
            *("behind", False, "the oldest record owed is 12 s old, 3,400 records behind on resolved"),
        ),
        (
            figures(oldest_s={"links": 61.0}, behind={"links": 1}),
            *("behind", True, "the oldest record owed is 61 s old, 1 records behind on links"),
        ),
        (figures(recovering=2), "recovering", False, "2 partitions are read from the changelog"),
        (figures(is_holding=True), "holding", True, "the database takes no rows"),
        (
            figures(residual=3),
            *("unbalanced", True, "3 accepted events are not accounted for (GET /v1/ledger)"),
        ),
    ],
)
def test_a_state_has_its_reason(figure: Figures, state: str, is_fault: bool, reason: str) -> None:
    if "behind" not in reason:
        figure.behind = {}
    assert (figure.state, figure.is_fault, figure.reason) == (state, is_fault, reason)


def samples() -> Iterator[Sample]:
    yield Sample("headwater_stage_oldest_seconds", ("clickhouse", "resolved"), 70.0)
    yield Sample("headwater_stage_behind_records", ("clickhouse", "resolved"), 12.0)
    yield Sample("headwater_sink_holding", (), 1.0)
    yield Sample("headwater_ledger_residual_events", (), 5.0)
    yield Sample("headwater_stage_partitions", ("identity", "open"), 4.0)
    yield Sample("headwater_stage_partitions", ("identity", "recovering"), 1.0)


def test_a_process_s_own_text_is_read(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, ready_file=str(tmp_path / "sink.ready"))
    figures_read = read(Exposition(settings, "sink", (READER, WORKER, SINK), samples).text().decode())
    assert (figures_read.oldest_s, dict(figures_read.behind)) == ({"resolved": 70.0}, {"resolved": 12})
    assert (figures_read.is_holding, figures_read.recovering, figures_read.residual) == (True, 1, 5)


def test_the_worst_is_told_first_and_what_is_well_not_at_all() -> None:
    by_name = {"a": read(""), "b": figures(recovering=1), "c": figures(is_holding=True)}
    assert [name for name, _ in faults(by_name)] == ["c", "b"]


def test_what_the_kernel_or_the_heartbeat_says_goes_before_the_figures() -> None:
    well, silent = ProcessState(name="x", state="ok"), ProcessState(name="x", state="silent", reason="hangs")
    late = figures(oldest_s={"resolved": 9.0}, behind={"resolved": 1})
    assert _with(late, well).state == "behind"
    assert _with(late, silent) is silent
    assert _with(None, well) is well
    assert _with(figures(), well) is well
