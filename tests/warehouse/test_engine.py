"""A warehouse is reached, also by several at the very moment it begins."""

from pathlib import Path
from threading import Barrier

from segmenter.settings import Settings
from segmenter.warehouse.engine import connect, reading
from tests.threads import ENDS_SECONDS, Threads


def test_a_new_file_is_opened_by_several_at_once(tmp_path: Path) -> None:
    together = Barrier(4, timeout=ENDS_SECONDS)

    def open_it(file: Path) -> int:
        together.wait()
        with connect(Settings(warehouse_url=f"sqlite:///{file}")) as warehouse, reading(warehouse) as connection:
            return int(connection.exec_driver_sql("SELECT 1").scalar_one())

    with Threads() as threads:
        for number in range(200):
            assert threads.map(open_it, [tmp_path / f"{number}.db"] * 4) == [1] * 4
