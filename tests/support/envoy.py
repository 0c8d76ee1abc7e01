"""Where the Envoy binary is: TOLLGATE_ENVOY, or where `make setup` puts it; and an Envoy without a control plane."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from envoy.config.bootstrap.v3 import bootstrap_pb2 as bootstrap_pb

ROOT = Path(__file__).resolve().parents[2]
INSTALLED = ROOT / ".envoy" / "envoy" / "_bin" / "envoy"


def envoy_binary() -> Path:
    """The binary; a machine without one fails the test, it does not skip it."""
    binary = Path(os.environ.get("TOLLGATE_ENVOY") or INSTALLED)
    assert binary.is_file(), f"no Envoy binary at {binary}: run `make setup`, or set TOLLGATE_ENVOY"
    return binary


@contextmanager
def static_envoy(bootstrap: bootstrap_pb.Bootstrap, folder: Path) -> Iterator[None]:
    """An Envoy with this bootstrap and no control plane; it may take a moment until it listens."""
    file = folder / "bootstrap.pb"
    file.write_bytes(bootstrap.SerializeToString())
    process = subprocess.Popen(
        [envoy_binary(), "-c", file, "--disable-hot-restart", "--concurrency", "1", "-l", "error"]
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait(20)
