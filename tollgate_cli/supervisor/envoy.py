"""The Envoy binary and its bootstrap: a hand-written YAML file that knows the control plane's address and no more.

Errors: EnvoyMissing, BootstrapError
"""

import json
import re
import shutil
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from string import Template

from service_kit.contract import ENVOY_NODE_CLUSTER, GROUP_PATTERN
from service_kit.endpoint import Endpoint, UnixEndpoint
from service_kit.settings import TlsFiles

REPOSITORY = Path(__file__).resolve().parents[2]
INSTALLED = REPOSITORY / ".envoy" / "envoy" / "_bin" / "envoy"
BINARY_VARIABLE = "TOLLGATE_ENVOY"
# Beside the source, else where an installed package has its data.
BOOTSTRAP_FOLDERS = (REPOSITORY / "envoy", Path(sys.prefix) / "share" / "tollgate" / "envoy")
# The same in every bootstrap.
OVERLOAD = "overload.yaml"
# Where the certificates of an Envoy of a fleet are: a secret of Envoy a file.
SECRETS = ("certificate", "authority")
# What runs on a listener that an edit replaces may go on for ten minutes: a stream is not cut because another route
# got a limit. `immediate` closes each of its connections after the next answer, so that requests move at once.
# It writes its access log at once, because rows in its buffer would be lost where it is killed: at a least size of 0 no
# row waits for the interval, which wakes two threads whenever it ends.
ENVOY_FLAGS = (
    "--disable-hot-restart", "--drain-time-s", "600", "--drain-strategy", "immediate",
    "--file-flush-interval-msec", "1000", "--file-flush-min-size-kb", "0",
)  # fmt: skip


class EnvoyMissing(Exception):  # noqa: N818 - reads as what it reports
    """There is no Envoy to run."""


class BootstrapError(Exception):
    """Envoy cannot be given this control plane."""


def envoy_binary(environ: Mapping[str, str], installed: Path = INSTALLED) -> Path:
    """The binary that $TOLLGATE_ENVOY names, else the one `make setup` installs, else the one on the PATH."""
    if named := environ.get(BINARY_VARIABLE):
        if shutil.which(named) is None:
            raise EnvoyMissing(f"${BINARY_VARIABLE} is {named}, which is no program: correct it or unset it")
        return Path(named).absolute()
    found = shutil.which(installed) or shutil.which("envoy", path=environ.get("PATH"))
    if found is None:
        raise EnvoyMissing(f"no Envoy binary: run `make setup`, or set ${BINARY_VARIABLE} to one")
    return Path(found)


def envoy_at_hand(environ: Mapping[str, str], missing: Callable[[EnvoyMissing], None] = lambda _: None) -> Path | None:
    """The binary that checks configurations, where there is one; `missing` is told where there is none."""
    try:
        return envoy_binary(environ)
    except EnvoyMissing as error:
        missing(error)
        return None


def bootstrap(
    *, control_plane: Endpoint, tls: TlsFiles | None, admin: UnixEndpoint, node: str, group: str, memory: int
) -> str:
    """The bootstrap of an Envoy that takes its configuration from this control plane; `memory` bounds its heap.

    Over TCP it has certificates, which Envoy follows by files that say where they are: written beside the admin socket.
    """
    common: dict[str, str | int] = {
        "NODE_ID": node, "NODE_CLUSTER": ENVOY_NODE_CLUSTER, "NODE_GROUP": group, "ADMIN_SOCKET": str(admin.path),
        "HEAP_BYTES": memory,
    }  # fmt: skip
    if isinstance(control_plane, UnixEndpoint):
        return _filled(("bootstrap.yaml", OVERLOAD), {**common, "XDS_SOCKET": str(control_plane.path)})
    if tls is None:
        raise BootstrapError(
            f"the control plane at {control_plane} needs mutual TLS: set TOLLGATE_TLS_CERTIFICATE, "
            "TOLLGATE_TLS_PRIVATE_KEY and TOLLGATE_TLS_AUTHORITY, or use its Unix socket"
        )
    address: dict[str, str | int] = {
        "XDS_HOST": control_plane.host, "XDS_PORT": control_plane.port,
        **_written_secrets(tls, admin.path),
    }  # fmt: skip
    return _filled(("bootstrap-tls.yaml", OVERLOAD), {**common, **address})


def _written_secrets(tls: TlsFiles, admin: Path) -> Mapping[str, str]:
    """The files in which Envoy finds where its certificates are, by their names in the bootstrap; they hold none."""
    values = {
        "TLS_CERTIFICATE": str(tls.certificate.absolute()),
        "TLS_PRIVATE_KEY": str(tls.private_key.absolute()),
        "TLS_AUTHORITY": str(tls.authority.absolute()),
    }
    files = {name: admin.with_suffix(f".{name}.yaml").absolute() for name in SECRETS}
    for name, file in files.items():
        file.write_text(_filled((f"{name}.yaml",), values), encoding="utf-8")
    return {f"{name.upper()}_FILE": str(file) for name, file in files.items()}


def node_group(text: str | None) -> str:
    """The group of this Envoy, empty for none; BootstrapError where the text is no name."""
    if text and not re.fullmatch(GROUP_PATTERN, text):
        raise BootstrapError(
            f"--node-group {text!r} is no name: use up to 63 letters, digits, '.', '_' and '-', "
            "the first and last one a letter or digit"
        )
    return text or ""


def node_id() -> str:
    """The name of this Envoy among the nodes of the control plane."""
    return socket.gethostname()


def _filled(parts: Sequence[str], values: Mapping[str, str | int]) -> str:
    """The files, one after the other, with `${TOLLGATE_NAME}` replaced.

    Each value is written as JSON, which is YAML whatever characters it holds.
    """
    template = Template("".join(bootstrap_file(part).read_text(encoding="utf-8") for part in parts))
    return template.substitute({f"TOLLGATE_{key}": json.dumps(value) for key, value in values.items()})


def bootstrap_file(name: str, folders: Sequence[Path] = BOOTSTRAP_FOLDERS) -> Path:
    """The first file of this name in the folders; BootstrapError where none has it."""
    for folder in folders:
        if (found := folder / name).is_file():
            return found
    raise BootstrapError(f"there is no {name} in {' or '.join(map(str, folders))}: install Tollgate again")
