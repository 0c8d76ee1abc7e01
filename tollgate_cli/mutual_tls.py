"""The files of mutual TLS, as every command finds them."""

from collections.abc import Mapping
from pathlib import Path

from service_kit.settings import TlsFiles
from tollgate_cli.supervisor.envoy import BootstrapError


def tls_files(environ: Mapping[str, str]) -> TlsFiles | None:
    """The files of mutual TLS, by the same variables that the services read; all three or none."""
    names = ("TOLLGATE_TLS_CERTIFICATE", "TOLLGATE_TLS_PRIVATE_KEY", "TOLLGATE_TLS_AUTHORITY")
    files = [Path(environ[name]) for name in names if environ.get(name)]
    if files and len(files) < len(names):
        raise BootstrapError(f"mutual TLS needs {', '.join(names)}")
    return TlsFiles(*files) if files else None
