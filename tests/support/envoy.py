"""Where the Envoy binary is: TOLLGATE_ENVOY, or where `make setup` puts it."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
INSTALLED = ROOT / ".envoy" / "envoy" / "_bin" / "envoy"


def envoy_binary() -> Path:
    """The binary; a machine without one fails the test, it does not skip it."""
    binary = Path(os.environ.get("TOLLGATE_ENVOY") or INSTALLED)
    assert binary.is_file(), f"no Envoy binary at {binary}: run `make setup`, or set TOLLGATE_ENVOY"
    return binary
