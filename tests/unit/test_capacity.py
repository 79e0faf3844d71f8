"""The needs of a rate equal the page's figures."""

from tests.bench import capacity, compare
from tests.support.services import ROOT

US = {"ingest": 36, "identity": 28, "segments": 40, "clickhouse-sink": 29, "kafka": 17, "clickhouse": 16}


def test_a_process_is_busy_for_a_part_of_its_core_and_a_stage_has_a_partition_for_each() -> None:
    needs = capacity.needs(100_000, US)
    assert (needs["edges"], needs["identity"], needs["segments"], needs["sinks"]) == (6, 5, 7, 5)
    assert needs["partitions"] == 7
    assert needs["cores in all"] == 6 + 5 + 7 + 5 + 3 + 3


def test_there_is_one_of_each_at_least() -> None:
    needs = capacity.needs(1, US)
    assert {needs[name] for name in ("edges", "identity", "segments", "sinks")} == {1}
    assert needs["partitions"] == capacity.FEWEST_PARTITIONS


def test_the_page_has_the_table_of_the_accepted_cost() -> None:
    text, accepted = (ROOT / "deploy" / "README.md").read_text(), compare.read(compare.ACCEPTED)
    assert capacity.table(accepted) in text
    assert capacity.costs(accepted) in text
