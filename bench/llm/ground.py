"""What all variants stand on: the provider, an issuer and its token, and a folder for files."""

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.ground import issued
from bench.processes import running_process
from service_kit.settings import environment
from tests.support.ports import free_port
from tollgate_cli.supervisor.envoy import envoy_binary


@dataclass(frozen=True)
class Ground:
    """The provider's port serves every model by every API."""

    folder: Path
    envoy: Path
    provider_port: int
    jwks: Path
    token: str
    # Where what is installed for a run stays for the next.
    cache: Path

    @property
    def provider_url(self) -> str:
        return f"http://127.0.0.1:{self.provider_port}"


@contextmanager
def llm_ground(cache: Path) -> Iterator[Ground]:
    """All but the cache is gone afterwards; the provider may not serve yet."""
    folder = Path(tempfile.mkdtemp(prefix="bench-"))  # short: socket paths have a limit
    try:
        jwks, token = issued(folder)
        port = free_port()
        with running_process([sys.executable, "-m", "bench.llm.provider", str(port)]):
            yield Ground(folder, envoy_binary(environment()), port, jwks, token, cache)
    finally:
        shutil.rmtree(folder)
