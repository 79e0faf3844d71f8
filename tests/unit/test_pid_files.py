"""Pid files of the local stack: a reader finds a whole number whenever it looks."""

import threading
from pathlib import Path

from deploy.local.home import StackHome


def test_a_reader_finds_a_whole_pid_while_it_is_replaced(tmp_path: Path) -> None:
    home = StackHome(tmp_path)
    home.run.mkdir(exist_ok=True)
    home.write_pid("sink", 1)
    ended = threading.Event()

    def replace() -> None:
        for pid in range(1, 3000):
            home.write_pid("sink", pid)
        ended.set()

    writer = threading.Thread(target=replace)
    writer.start()
    while not ended.is_set():
        assert int(home.pid_file("sink").read_text()) > 0
    writer.join()
    assert [file.name for file in home.run.iterdir()] == ["sink.pid"]
