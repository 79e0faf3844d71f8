"""When a worker is better off restarted, and when that would not help."""

from processors.runtime.watchdog import LATE_S, STALL_S, UNREADY_S, PartitionSnapshot, Watchdog


def snapshot(committable: int, position: int, end: int, pending: int = 0) -> dict[str, PartitionSnapshot]:
    return {"events/0": PartitionSnapshot(committable, position, end, pending)}


def test_a_partition_that_stands_still_with_records_before_it() -> None:
    watchdog = Watchdog()
    assert watchdog.stalled(snapshot(5, 5, 9), 0.0) is None
    assert watchdog.stalled(snapshot(5, 5, 12), STALL_S - 1) is None
    reason = watchdog.stalled(snapshot(5, 5, 12), STALL_S)
    assert reason is not None
    assert "events/0 stands still" in reason


def test_a_record_that_was_fetched_and_is_never_done() -> None:
    watchdog = Watchdog()
    assert watchdog.stalled(snapshot(5, 9, 9, pending=4), 0.0) is None
    assert watchdog.stalled(snapshot(5, 9, 9, pending=4), STALL_S) is not None


def test_progress_and_idleness_are_no_standstill() -> None:
    watchdog = Watchdog()
    for second in range(0, 200, 5):
        assert watchdog.stalled(snapshot(second, second + 3, 1000, pending=3), float(second)) is None
    for second in range(200, 400, 5):
        assert watchdog.stalled(snapshot(1000, 1000, 1000), float(second)) is None
    assert watchdog.stalled(snapshot(1000, 1000, 1001), 400.0) is None, "the clock starts when there is something"


def test_time_without_a_broker_does_not_count() -> None:
    watchdog = Watchdog()
    assert watchdog.stalled(snapshot(5, 5, 9), 0.0) is None
    watchdog.excuse()
    assert watchdog.stalled(snapshot(5, 5, 9), STALL_S) is None


def test_a_recovery_that_does_not_move_on() -> None:
    watchdog = Watchdog()
    assert watchdog.unready((1, 0), 0.0) is None
    assert watchdog.unready((1, 500), UNREADY_S - 1) is None
    assert watchdog.unready((1, 500), UNREADY_S + 1) is None
    assert watchdog.unready(None, 500.0) is None
    assert watchdog.unready((2, 0), 1000.0) is None
    assert watchdog.unready((2, 0), 1000.0 + UNREADY_S) is not None


def test_time_in_which_the_process_did_not_run_does_not_count() -> None:
    watchdog = Watchdog()
    now = 0.0
    for now in (0.0, 5.0):
        watchdog.look_at(now)
        assert watchdog.stalled(snapshot(5, 5, 9), now) is None
        assert watchdog.unready((1, 0), now) is None
    now += 3600.0  # the machine was suspended
    for _ in range(int(STALL_S // 5)):
        watchdog.look_at(now)
        assert watchdog.stalled(snapshot(5, 5, 9), now) is None
        assert watchdog.unready((1, 0), now) is None
        now += 5.0
    watchdog.look_at(now)
    assert watchdog.stalled(snapshot(5, 5, 9), now) is not None, "from then on each second counts"


def test_looks_at_a_busy_worker_are_no_suspension() -> None:
    watchdog = Watchdog()
    now, reasons = 0.0, []
    while now <= STALL_S + LATE_S:
        watchdog.look_at(now)
        reasons.append(watchdog.stalled(snapshot(5, 5, 9), now))
        now += LATE_S  # late, as where the CPU is scarce
    assert any(reasons)
