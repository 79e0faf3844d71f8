"""The edge's copy of the merge map: on disk, versions obeyed, and where it stopped is kept with it."""

from dataclasses import dataclass
from pathlib import Path

from ingest.view import MergeView
from schemas import codec
from schemas.records import Identifier, Merge


@dataclass
class Read:
    partition: int
    offset: int
    value: bytes | None


def merge(loser: str, winner: str, version: int) -> bytes:
    return codec.encode_merge(
        Merge(
            workspace="w",
            environment="e",
            loser=loser,
            winner=winner,
            version=version,
            at_ms=0,
            event_id="evt",
            identifier=Identifier(type="email", value="a@b.c"),
        )
    )


def test_a_restart_goes_on_where_it_stopped(tmp_path: Path) -> None:
    view = MergeView(tmp_path / "v", 4)
    assert view.positions() == {}
    view.apply(Read(2, 7, merge("cnt_a", "cnt_b", 1)))
    view.close()
    view = MergeView(tmp_path / "v", 4)
    assert view.positions() == {2: 8}
    assert view.winner("cnt_a") == "cnt_b"
    assert view.winner("cnt_x") == "cnt_x"
    assert view.winner("") == ""


def test_the_highest_version_wins_and_repeats_change_nothing(tmp_path: Path) -> None:
    view = MergeView(tmp_path / "v", 4)
    for offset, (winner, version) in enumerate([("cnt_b", 300), ("cnt_c", 5), ("cnt_b", 300), ("cnt_d", 70_000)]):
        view.apply(Read(0, offset, merge("cnt_a", winner, version)))
    assert view.winner("cnt_a") == "cnt_d"


def test_bytes_that_are_no_merge_are_passed_over(tmp_path: Path) -> None:
    view = MergeView(tmp_path / "v", 4)
    view.apply(Read(0, 0, b"nonsense"))
    view.apply(Read(0, 1, None))
    assert view.positions() == {0: 2}
