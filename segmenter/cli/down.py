"""``segmenter down``."""

from __future__ import annotations

from segmenter import embedded
from segmenter import settings as every_setting


def down() -> None:
    """Stop the embedded parts. The warehouse file stays until the next `segmenter up`."""
    folder = every_setting.load().stack_dir
    if embedded.stop(folder):
        print(f"The embedded parts are stopped. {folder / 'warehouse.db'} stays until the next `segmenter up`.")
    else:
        print(f"No embedded parts run in {folder}.")
