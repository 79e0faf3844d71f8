"""Below the floor of free space nothing is written or merged."""

from pathlib import Path

import pytest

from deploy.local.clickhouse.codes import ClickHouseError
from deploy.local.clickhouse.disk import Floor

FLOOR = 1000


def test_below_the_floor_writes_are_refused_and_merges_stop_until_a_quarter_above_it(tmp_path: Path) -> None:
    free = [FLOOR]
    ran: list[str] = []
    floor = Floor(tmp_path, ran.append, FLOOR, lambda _: free[0])
    floor.admit(b"INSERT INTO t VALUES (1)")
    assert ran == []
    free[0] = FLOOR - 1
    for sql in (b"INSERT INTO t VALUES (1)", b"  alter table t delete where 1", b"OPTIMIZE TABLE t"):
        with pytest.raises(ClickHouseError, match="999 bytes are free, the floor is 1000") as refused:
            floor.admit(sql)
        assert refused.value.code == 243
    floor.admit(b"SELECT 1")
    assert ran == ["SYSTEM STOP MERGES"]
    free[0] = FLOOR + 1
    assert floor.look()
    free[0] = FLOOR * 2
    floor.admit(b"INSERT INTO t VALUES (1)")
    assert ran == ["SYSTEM STOP MERGES", "SYSTEM START MERGES"]
