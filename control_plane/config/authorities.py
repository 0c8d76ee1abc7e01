"""The certificate authorities that this machine trusts: they verify https upstreams that name no others.

The control plane reads them and hands them to Envoy, which may run where there are none. Nothing is ever left
unverified for want of them.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from control_plane.config.errors import Problem
from control_plane.config.files import LARGEST_REFERENCED_FILE, Reading, UnreadableFile
from control_plane.config.model import Config
from control_plane.config.values.pem import CERTIFICATE

# The name under which their content is kept beside the files that the configuration names; no file has it.
SYSTEM_CA: Final = "<system authorities>"
VARIABLE: Final = "SSL_CERT_FILE"
# Where distributions keep them, as one file of PEM.
BUNDLES: Final = (
    Path("/etc/ssl/certs/ca-certificates.crt"),  # Debian, Ubuntu, Alpine, Arch
    Path("/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem"),  # Fedora, RHEL
    Path("/etc/ssl/ca-bundle.pem"),  # SUSE
    Path("/etc/ssl/cert.pem"),  # macOS, BSD
)
CURE: Final = "install the package ca-certificates, or write `tls: {ca: file:/path/to/ca.pem}`"


class NoAuthorities(Exception):  # noqa: N818 - it is the authorities that are missing
    """An upstream is to be verified by the authorities of a machine that has none."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        super().__init__(problem.message)


def system_authorities(config: Config, environ: Mapping[str, str], reading: Reading) -> Mapping[str, bytes]:
    """The content of their file by SYSTEM_CA; nothing where no upstream is verified by them."""
    places = [
        ("upstreams", name, "endpoints" if upstream.url is None else "url")
        for name, upstream in config.upstreams.items()
        if upstream.trusts_the_system
    ]
    if not places:
        return {}
    chosen = environ.get(VARIABLE)
    candidates = (Path(chosen),) if chosen else BUNDLES
    reasons: list[str] = []
    for file in candidates:
        try:
            content = reading.content(file, largest=LARGEST_REFERENCED_FILE)
        except UnreadableFile as error:
            reasons.append(str(error))
            continue
        if CERTIFICATE.encode() in content:
            return {SYSTEM_CA: content}
        reasons.append("holds no certificate")
    lacking = "this machine has no certificate authorities to verify it by"
    message = f"{VARIABLE} names {chosen}: {reasons[0]}" if chosen else lacking
    raise NoAuthorities(Problem(places[0], message, CURE))
