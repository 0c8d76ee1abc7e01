import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """In place of pytest's own, a folder with a short name: paths of sockets have a limit."""
    with tempfile.TemporaryDirectory(prefix="tg-") as folder:
        yield Path(folder)
