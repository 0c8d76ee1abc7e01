"""How a command reaches a running control plane: address, admin token, one call, and what is said when it fails.

Errors: NoGateway
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn, TypeVar

import grpc
import typer
from google.protobuf import json_format
from google.protobuf.message import Message

from control_plane.admin.token import FILE_NAME
from control_plane.operations.reports import AUTHORIZATION, SERVICE, from_json
from service_kit.endpoint import Endpoint, EndpointError, UnixEndpoint, parse_endpoint
from service_kit.settings import TlsFiles
from tollgate_cli.mutual_tls import tls_files
from tollgate_cli.supervisor.envoy import BootstrapError
from tollgate_cli.supervisor.layout import layout

TOKEN_VARIABLE: Final = "TOLLGATE_ADMIN_TOKEN"  # noqa: S105 - the name of a variable
# An answer of ten thousand routes takes seconds to make.
SECONDS: Final = 60.0
# Numbers travel as uint32.
LARGEST_NUMBER: Final = 2**32 - 1
CHANNEL_OPTIONS: Final = (("grpc.max_receive_message_length", 64 << 20), ("grpc.enable_http_proxy", 0))

T = TypeVar("T")

StateDir = Annotated[
    Path, typer.Option(envvar="TOLLGATE_STATE_DIR", help="Where `tollgate run` keeps its sockets and the admin token.")
]
ControlPlane = Annotated[
    str | None,
    typer.Option(
        envvar="TOLLGATE_CONTROL_PLANE",
        help="The control plane, unix:PATH or HOST:PORT with TOLLGATE_TLS_*; without it, the state directory's.",
        show_default=False,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


class NoGateway(Exception):  # noqa: N818 - what the operator reads, not a fault of the program
    """The control plane was not reached, or refused; the message names the cure."""


@dataclass(frozen=True)
class Connection:
    """A control plane, and what it is shown."""

    endpoint: Endpoint
    tls: TlsFiles | None
    token: str

    def call(
        self, method: str, request: Message, response: type[Message], shape: type[T], *, service: str = SERVICE
    ) -> T:
        """The report that answers a call."""
        try:
            with self._channel() as channel:
                rpc = channel.unary_unary(
                    f"/{service}/{method}",
                    request_serializer=type(request).SerializeToString,
                    response_deserializer=response.FromString,
                )
                answer = rpc(request, timeout=SECONDS, metadata=((AUTHORIZATION, f"Bearer {self.token}"),))
        except grpc.RpcError as error:
            raise NoGateway(self._said(error)) from error
        data = json_format.MessageToDict(
            answer, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
        )
        return from_json(shape, data)

    def _channel(self) -> grpc.Channel:
        if isinstance(self.endpoint, UnixEndpoint) or self.tls is None:
            return grpc.insecure_channel(self.endpoint.grpc_target, CHANNEL_OPTIONS)
        files = (self.tls.authority, self.tls.private_key, self.tls.certificate)
        try:
            credentials = grpc.ssl_channel_credentials(*(file.read_bytes() for file in files))
        except OSError as error:
            raise NoGateway(f"cannot read {error.filename}: {error.strerror}") from error
        return grpc.secure_channel(self.endpoint.grpc_target, credentials, CHANNEL_OPTIONS)

    def _said(self, error: Any) -> str:  # Any: grpc.RpcError is a call, which its annotations do not know
        code, details = error.code(), printable(error.details() or "")
        if code is grpc.StatusCode.UNAVAILABLE:
            return f"no control plane answers at {self.endpoint} ({details}); {_START}"
        if code is grpc.StatusCode.UNAUTHENTICATED:
            return f"the control plane at {self.endpoint} refuses the admin token; {_TOKEN}"
        if code is grpc.StatusCode.UNIMPLEMENTED:
            return f"what answers at {self.endpoint} is no control plane of this version; restart the gateway"
        if code in (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.INVALID_ARGUMENT):
            return "\n".join(map(printable, (error.details() or "").splitlines()))  # a mistake a line
        return f"the control plane at {self.endpoint} answers {code.name}: {details}"


_START: Final = "start it with `tollgate run`, or name its --state-dir or --control-plane"
_TOKEN: Final = f"set {TOKEN_VARIABLE} to `admin.token` of its configuration, or name its --state-dir"


def connection(state_dir: Path, control_plane: str | None, environ: Mapping[str, str]) -> Connection:
    """The control plane of this state directory, or at this address; NoGateway where nothing can be there."""
    try:
        place = layout(state_dir)
        endpoint = parse_endpoint(control_plane) if control_plane else place.sockets.xds
        tls = tls_files(environ)
    except (EndpointError, BootstrapError) as error:
        raise NoGateway(str(error)) from error
    if isinstance(endpoint, UnixEndpoint) and not endpoint.path.exists():
        raise NoGateway(f"no gateway runs at {endpoint}: there is no such socket; {_START}")
    if not isinstance(endpoint, UnixEndpoint) and tls is None:
        raise NoGateway(
            f"the control plane at {endpoint} is reached by mutual TLS: set TOLLGATE_TLS_CERTIFICATE, "
            "TOLLGATE_TLS_PRIVATE_KEY and TOLLGATE_TLS_AUTHORITY"
        )
    return Connection(endpoint, tls, _token(place.root, environ))


def _token(state_dir: Path, environ: Mapping[str, str]) -> str:
    if token := environ.get(TOKEN_VARIABLE):
        return token
    file = state_dir / FILE_NAME
    try:
        return file.read_text().strip()
    except OSError as error:
        raise NoGateway(f"no admin token: {file}: {error.strerror}; {_TOKEN}") from error


def fail(error: NoGateway) -> NoReturn:
    """Ends the command: the reason on stderr, exit code 1."""
    typer.echo(f"error: {error}", err=True)
    raise typer.Exit(1) from error


def printable(text: str) -> str:
    """The text on one line, without what would steer a terminal: reasons come from other machines."""
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)
