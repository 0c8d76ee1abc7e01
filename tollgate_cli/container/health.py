"""Asks one process how it is, for health checks of containers: `python -m tollgate_cli.container.health KIND ADDRESS`.

It is run every few seconds beside each process, so it imports no more than the question needs; `tollgate health` is the
same for people. Without arguments it asks the address of $TOLLGATE_HEALTH_URL.

Exit codes: 0 well, 1 unwell with the reason on stderr, 2 wrong usage.
"""

import socket
import sys
from collections.abc import Mapping, Sequence

from service_kit.endpoint import Endpoint, EndpointError, TcpEndpoint, UnixEndpoint, parse_endpoint
from service_kit.settings import environment
from tollgate_cli.supervisor.asking import ASK_TIMEOUT, NoAnswer, admin_answer, answer_of

URL_VARIABLE = "TOLLGATE_HEALTH_URL"
DEFAULT_URL = "http://127.0.0.1:8800/health"
# Whether Envoy's workers run, and how many listeners they have. `/ready` would also fail while Envoy drains, and says
# LIVE without a listener once it has waited long enough for one.
LISTENERS = "/stats?filter=^listener_manager\\.(workers_started|total_listeners_active)$"


def main(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """The exit code."""
    asked = question(argv, environ)
    if asked is None:
        sys.stderr.write(f"usage: python -m tollgate_cli.container.health {'|'.join(KINDS)} ADDRESS\n")
        return 2
    try:
        ask(*asked)
    except (EndpointError, NoAnswer) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


def question(argv: Sequence[str], environ: Mapping[str, str]) -> tuple[str, str] | None:
    """The kind and the address of what is asked; None where the usage is wrong."""
    match argv or ("http", environ.get(URL_VARIABLE) or DEFAULT_URL):
        case [kind, address] if kind in KINDS:
            return kind, address
    return None


def ask(kind: str, address: str) -> None:
    """Returns where the process is well; NoAnswer or EndpointError says why it is not."""
    KINDS[kind](address)


def _http(address: str) -> None:
    answer_of(address)


def _serving(text: str) -> None:
    import grpc  # noqa: PLC0415 - a check of another kind need not wait for it, and Envoy's container does not have it
    from grpc_health.v1 import health_pb2, health_pb2_grpc  # noqa: PLC0415 - the same

    address = parse_endpoint(text)
    with grpc.insecure_channel(address.grpc_target) as channel:
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=ASK_TIMEOUT)
        except grpc.RpcError as error:
            raise NoAnswer(f"{address} gives no answer: {error.code().name}: {error.details()}") from error
    if answer.status != health_pb2.HealthCheckResponse.SERVING:
        status = health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)
        raise NoAnswer(f"{address} is {status}: it has no policy yet, or is stopping")


def _pong(text: str) -> None:
    address = parse_endpoint(text)
    try:
        with _stream(address) as sock:
            sock.settimeout(ASK_TIMEOUT)
            sock.connect((address.host, address.port) if isinstance(address, TcpEndpoint) else str(address.path))
            sock.sendall(b"PING\r\n")
            answer = sock.recv(256)
    except OSError as error:
        raise NoAnswer(f"{address} gives no answer: {error.strerror or error}") from error
    # One that wants a password first is well, too; one that is still loading its data is not.
    if not answer.startswith((b"+PONG", b"-NOAUTH")):
        raise NoAnswer(f"{address} answers {answer.decode(errors='replace').strip() or 'nothing'}")


def _listens(text: str) -> None:
    """Envoy's main thread answers, and its workers have listeners: asked beside them, so that no load, no limit and no
    certificate of theirs has a say in it.
    """
    admin = parse_endpoint(text)
    if not isinstance(admin, UnixEndpoint):
        raise EndpointError(f"{text!r} is no socket of Envoy's admin interface: write unix:/path/to.sock")
    gauges = [line.rpartition(": ")[2] for line in admin_answer(admin, "GET", LISTENERS).splitlines()]
    if not gauges or "0" in gauges:
        raise NoAnswer(f"{admin}: Envoy has no listeners yet: it waits for the control plane")


def _stream(address: Endpoint) -> socket.socket:
    if isinstance(address, UnixEndpoint):
        return socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    return socket.socket(socket.AF_INET6 if ":" in address.host else socket.AF_INET, socket.SOCK_STREAM)


# Envoy's admin interface, grpc.health.v1, a GET that is answered with 200, the PING of a Redis-protocol store.
KINDS = {"envoy": _listens, "grpc": _serving, "http": _http, "store": _pong}


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:], environment()))
