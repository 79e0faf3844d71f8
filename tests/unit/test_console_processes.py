"""A line of the console for each process, from metrics as they are exposed."""

from pathlib import Path

from schemas.service.exposition import Exposition, Sample, merged
from schemas.service.metric import READER, STACK, WORKER
from schemas.settings import Settings
from sinks.console.pages.processes import ProcessRow, rows_of


def exposed(home: Path, name: str, *samples: Sample) -> bytes:
    return Exposition(Settings(home=home), name, (READER, WORKER, STACK), lambda: samples).text()


def test_a_line_has_what_its_process_says_and_what_the_edge_says_of_it(tmp_path: Path) -> None:
    age, behind = "headwater_stage_oldest_seconds", "headwater_stage_behind_records"
    identity = [Sample(age, ("identity", topic), at) for topic, at in (("events", 2.5), ("links", 0.5))]
    identity += [Sample(behind, ("identity", topic), 3) for topic in ("events", "links")]
    reported = [
        Sample("headwater_process_up", ("identity",), 0.0),
        Sample("headwater_process_restarts_total", ("identity",), 2),
        Sample("headwater_process_up", ("gone",), 1.0),
    ]
    text = merged([exposed(tmp_path, "identity", *identity), exposed(tmp_path, "ingest", *reported)]).decode()
    gone, first, edge = rows_of(text)
    assert gone == ProcessRow("gone", is_up=True)
    assert (first.name, first.is_up, first.restarts, first.oldest_s, first.behind) == ("identity", False, 2, 2.5, 6)
    assert first.memory
    assert first.cpu_s is not None
    assert (edge.name, edge.oldest_s, edge.behind) == ("ingest", None, None)
    assert rows_of("") == []
