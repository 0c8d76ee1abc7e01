"""The real Envoy before the real translator: a client's dialect on one side, a stand-in for another vendor behind it.

The way is that of a gateway: a cluster that is an internal listener, whose own connection manager translates, then
passes on to the vendor. The gateway's other filters are left out.
"""

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from envoy.config.bootstrap.v3 import bootstrap_pb2 as bootstrap_pb
from envoy.extensions.access_loggers.filters.cel.v3 import cel_pb2 as _0  # noqa: F401 - as above
from envoy.extensions.bootstrap.internal_listener.v3 import internal_listener_pb2 as _1  # noqa: F401 - ParseDict's
from envoy.extensions.filters.http.ext_proc.v3 import ext_proc_pb2 as _2  # noqa: F401 - as above
from envoy.extensions.filters.http.router.v3 import router_pb2 as _3  # noqa: F401 - as above
from envoy.extensions.filters.network.http_connection_manager.v3 import (  # noqa: F401 - as above
    http_connection_manager_pb2 as _4,
)
from envoy.extensions.transport_sockets.internal_upstream.v3 import internal_upstream_pb2 as _5  # noqa: F401 - as above
from envoy.extensions.transport_sockets.raw_buffer.v3 import raw_buffer_pb2 as _6  # noqa: F401 - as above
from envoy.extensions.upstreams.http.v3 import http_protocol_options_pb2 as _7  # noqa: F401 - as above
from google.protobuf.json_format import ParseDict

from control_plane.envoy_check import RUNTIME
from service_kit.contract import (
    TRANSLATED_ATTRIBUTE,
    TRANSLATED_DETAILS,
    TRANSLATED_DIALECT,
    TRANSLATED_MODEL,
    TRANSLATED_PROVIDER,
)
from tests.support.envoy import static_envoy
from tests.support.eventually import until
from tests.support.ports import free_port

TYPE = "type.googleapis.com/envoy."
BUFFER = 9 << 20
BODY_MODES = ("request_body_mode", "response_body_mode")
OTHER_MODES = ("request_header_mode", "response_header_mode", "request_trailer_mode", "response_trailer_mode")
SHAPES: Mapping[str, Mapping[str, Any]] = {
    "openai": {"error": {"message": "%LOCAL_REPLY_BODY%", "type": "api_error", "param": None, "code": "the gateway's"}},
    "ollama": {"error": "%LOCAL_REPLY_BODY%"},
}
# Of a stream that Envoy opens for a call.
METADATA = ((TRANSLATED_DIALECT, "openai"), (TRANSLATED_PROVIDER, "ollama-native"))
# What openai's and ollama's clients reach.
PREFIXES = {"openai": "/v1", "ollama": ""}


class Translator:
    """The translator's process, which a test may kill and start again."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.socket = folder / "t.sock"
        self.log = folder / "translator.log"
        self._metrics = folder / "m.sock"
        self._arguments = arguments
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        command = (
            sys.executable, "-m", "llm_translator", "--listen", f"unix:{self.socket}",
            "--metrics", f"unix:{self._metrics}", *self._arguments,
        )  # fmt: skip
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        until(self._serves)

    def stop(self, number: int = signal.SIGKILL) -> int:
        """Its exit code."""
        if self._process is None:
            return 0
        self._process.send_signal(number)
        return self._process.wait(20)

    def metrics(self) -> Mapping[str, float]:
        with httpx.Client(transport=httpx.HTTPTransport(uds=str(self._metrics))) as client:
            text = client.get("http://translator/metrics").text
        lines = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
        return {name: float(value) for name, _, value in lines}

    def _serves(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log.read_text()
        return _accepts(self.socket) and _accepts(self._metrics)


def _accepts(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as sock:
        return sock.connect_ex(str(path)) == 0


@dataclass(frozen=True)
class Way:
    """A dialect that clients speak, the vendor behind it, and where that is; `path` replaces `/v1` there."""

    dialect: str
    provider: str
    upstream: int
    model: str = ""
    path: str = "/v1"
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def name(self) -> str:
        return f"{self.dialect}-{self.provider}"


@dataclass(frozen=True)
class TranslatingGateway:
    translator: Translator
    ports: Mapping[Way, int]

    def url(self, way: Way) -> str:
        return f"http://127.0.0.1:{self.ports[way]}{PREFIXES[way.dialect]}"


@contextmanager
def translator(folder: Path, *arguments: str) -> Iterator[Translator]:
    found = Translator(folder, *arguments)
    found.start()
    try:
        yield found
    finally:
        found.stop()


@contextmanager
def translating_gateway(folder: Path, ways: Sequence[Way], *arguments: str) -> Iterator[TranslatingGateway]:
    ports = {way: free_port() for way in ways}
    with ExitStack() as stack:
        process = stack.enter_context(translator(folder, *arguments))
        stack.enter_context(static_envoy(_bootstrap(ports, process.socket), folder))
        yield TranslatingGateway(process, ports)


def _bootstrap(ports: Mapping[Way, int], at: Path) -> bootstrap_pb.Bootstrap:
    internal = {"@type": f"{TYPE}extensions.bootstrap.internal_listener.v3.InternalListener"}
    return ParseDict(
        {
            "layered_runtime": {"layers": [{"name": "static", "static_layer": RUNTIME}]},
            "bootstrap_extensions": [{"name": "envoy.bootstrap.internal_listener", "typed_config": internal}],
            "static_resources": {
                "listeners": [*(_outer(way, port) for way, port in ports.items()), *map(_inner, ports)],
                "clusters": [
                    *map(_to_inner, ports),
                    *(_cluster(f"upstream:{way.name}", _port(way.upstream)) for way in ports),
                    _cluster("translator", {"pipe": {"path": str(at)}}, "http2_protocol_options"),
                ],
            },
        },
        bootstrap_pb.Bootstrap(),
    )


def _outer(way: Way, port: int) -> dict[str, Any]:
    """A client's listener: the first byte within two seconds, as a route of a model has it."""
    action = {"cluster": way.name, "timeout": "0s", "idle_timeout": "20s", "retry_policy": {"per_try_timeout": "2s"}}
    manager = _manager(way, action, generate_request_id=True)
    return {"name": f"outer:{way.name}", "address": _port(port), **_chain(manager)}


def _inner(way: Way) -> dict[str, Any]:
    action = {
        "cluster": f"upstream:{way.name}",
        "timeout": "0s",
        "regex_rewrite": {"pattern": {"regex": "^/v1"}, "substitution": way.path},
    }
    manager = _manager(
        way, action, _translation(way),
        generate_request_id=False, preserve_external_request_id=True, delayed_close_timeout="0.05s",
        local_reply_config={"mappers": [_own_errors(way)]},
    )  # fmt: skip
    for host in manager["route_config"]["virtual_hosts"]:
        host["request_headers_to_add"] = [{"header": {"key": key, "value": value}} for key, value in way.headers]
    return {"name": f"inner:{way.name}", "internal_listener": {}, **_chain(manager)}


def _own_errors(way: Way) -> dict[str, Any]:
    """The client's dialect for what Envoy answers itself; what the translator answers is in it already."""
    own = {
        "@type": f"{TYPE}extensions.access_loggers.filters.cel.v3.ExpressionFilter",
        "expression": f"response.code_details != '{TRANSLATED_DETAILS}'",
    }
    return {
        "filter": {"extension_filter": {"name": "own", "typed_config": own}},
        "body_format_override": {"json_format": SHAPES[way.dialect]},
    }


def _translation(way: Way) -> dict[str, Any]:
    told = {TRANSLATED_DIALECT: way.dialect, TRANSLATED_PROVIDER: way.provider, TRANSLATED_MODEL: way.model}
    config = {
        "@type": f"{TYPE}extensions.filters.http.ext_proc.v3.ExternalProcessor",
        "grpc_service": {
            "envoy_grpc": {"cluster_name": "translator"},
            "initial_metadata": [{"key": key, "value": value} for key, value in told.items() if value],
        },
        "processing_mode": {
            **dict.fromkeys(BODY_MODES, "FULL_DUPLEX_STREAMED"), **dict.fromkeys(OTHER_MODES, "SEND"),
        },
        "mutation_rules": {"allow_all_routing": True},
        "response_attributes": [TRANSLATED_ATTRIBUTE],
        "status_on_error": {"code": "ServiceUnavailable"},
    }  # fmt: skip
    return {"name": "envoy.filters.http.ext_proc", "typed_config": config}


def _manager(way: Way, action: Mapping[str, Any], *filters: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    route = {
        "match": {"prefix": "/"},
        "route": action,
    }
    host = {"name": "all", "domains": ["*"], "request_body_buffer_limit": BUFFER, "routes": [route]}
    router = {"name": "router", "typed_config": {"@type": f"{TYPE}extensions.filters.http.router.v3.Router"}}
    return {
        "@type": f"{TYPE}extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": way.name,
        "server_header_transformation": "PASS_THROUGH",
        "route_config": {"name": way.name, "virtual_hosts": [host]},
        "http_filters": [*filters, router],
        **more,
    }


def _chain(manager: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "per_connection_buffer_limit_bytes": BUFFER,
        "filter_chains": [{"filters": [{"name": "manager", "typed_config": manager}]}],
    }


def _to_inner(way: Way) -> dict[str, Any]:
    raw = {"@type": f"{TYPE}extensions.transport_sockets.raw_buffer.v3.RawBuffer"}
    internal = {
        "@type": f"{TYPE}extensions.transport_sockets.internal_upstream.v3.InternalUpstreamTransport",
        "transport_socket": {"name": "raw", "typed_config": raw},
    }
    at = {"envoy_internal_address": {"server_listener_name": f"inner:{way.name}"}}
    return {**_cluster(way.name, at), "transport_socket": {"name": "internal", "typed_config": internal}}


def _cluster(name: str, address: Mapping[str, Any], protocol: str = "http_protocol_options") -> dict[str, Any]:
    options = {
        "@type": f"{TYPE}extensions.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {protocol: {}},
    }
    endpoint = {"endpoint": {"address": address}}
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "0.5s",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options},
    }


def _port(number: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": number}}
