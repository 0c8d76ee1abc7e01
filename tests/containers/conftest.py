"""These tests need a container engine, and fail without one: `make test-containers` is asked for by name."""

import os
import subprocess
from collections.abc import Iterator

import pytest

from tests.support.containers import ROOT, STAND_IN, container, network, no_engine

TOKEN = "0123456789abcdef0123456789abcdef"


@pytest.fixture(scope="session")
def images() -> dict[str, str]:
    """The images by their names without the version, built from this tree."""
    if why := no_engine():
        pytest.fail(f"containers cannot be tested: {why}; start an engine, or name it in DOCKER_HOST", pytrace=False)
    options = os.environ.get("TOLLGATE_BUILD_OPTIONS", "").split()
    built = subprocess.run(
        [ROOT / "scripts" / "images.sh", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stdout
    return {image.partition(":")[0]: image for image in built.stdout.split()}


@pytest.fixture
def token() -> str:
    return TOKEN


@pytest.fixture
def with_stand_in(images: dict[str, str]) -> Iterator[str]:
    """A network in which `ollama` is the stand-in."""
    with network() as name:
        options = (
            *("--network", name, "--network-alias", "ollama", "--network-alias", "ollama.ollama.svc.cluster.local"),
            *("--volume", f"{STAND_IN}:/stand_in.py:ro"),
        )
        with container(images["tollgate-python"], "python", "-u", "/stand_in.py", options=options):
            yield name


@pytest.fixture
def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}
