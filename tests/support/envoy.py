"""Where the Envoy binary is: TOLLGATE_ENVOY, or where `make setup` puts it; and an Envoy without a control plane."""

import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from envoy.config.bootstrap.v3 import bootstrap_pb2 as bootstrap_pb

from tests.support.eventually import until

ROOT = Path(__file__).resolve().parents[2]
INSTALLED = ROOT / ".envoy" / "envoy" / "_bin" / "envoy"


def envoy_binary() -> Path:
    """The binary; a machine without one fails the test, it does not skip it."""
    binary = Path(os.environ.get("TOLLGATE_ENVOY") or INSTALLED)
    assert binary.is_file(), f"no Envoy binary at {binary}: run `make setup`, or set TOLLGATE_ENVOY"
    return binary


@contextmanager
def static_envoy(bootstrap: bootstrap_pb.Bootstrap, folder: Path) -> Iterator[None]:
    """An Envoy with this bootstrap and no control plane, as soon as its first listener accepts connections."""
    file = folder / "bootstrap.pb"
    file.write_bytes(bootstrap.SerializeToString())
    process = subprocess.Popen(
        [
            envoy_binary(), "-c", file, "--disable-hot-restart", "--concurrency", "1", "-l", "error",
            "--file-flush-interval-msec", "1000", "--file-flush-min-size-kb", "0",
        ]
    )  # fmt: skip
    at = bootstrap.static_resources.listeners[0].address.socket_address
    try:
        until(lambda: _accepts(at.address, at.port_value))
        yield
    finally:
        process.terminate()
        process.wait(20)


def _accepts(host: str, port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex((host, port)) == 0
