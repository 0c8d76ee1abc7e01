"""Upstreams as they are meant: defaults filled in, every choice of words resolved."""

from control_plane.config import model as config
from control_plane.ir import model as ir
from control_plane.ir.routes import host_of

OLLAMA_VERSION = "/api/version"
OLLAMAS = ("ollama", "ollama-native")
# The part of an Ollama URL that is no place, but its OpenAI-compatible API.
OPENAI_PATH = "/v1"


def upstream(name: str, written: config.Upstream, *, cached: bool, mirrors: bool) -> ir.Upstream:
    """The upstream of this name; its endpoints are sorted and stand once."""
    told = written.addresses if written.kubernetes is None else ()
    endpoints = {ir.Address(url.host, url.port) for url in told}
    return ir.Upstream(
        name=name,
        endpoints=tuple(sorted(endpoints, key=lambda it: (it.host, it.port))),
        connect_timeout=written.connect_timeout,
        circuit_breaker=ir.CircuitBreaker(**dict(written.circuit_breaker)),
        protocol=ir.Protocol(written.protocol),
        tls=_tls(written) if written.addresses[0].tls else None,
        health_check=_health_check(written),
        balancing=ir.Balancing(written.load_balancing.policy),
        outlier_detection=_outlier_detection(written.outlier_detection),
        credential=_credential(written.credential),
        required=written.readiness == "required",
        cached=cached,
        mirrors=mirrors,
        api=written.api or "",
        hides_host=written.api is not None and host_of(written) is not None,
        kubernetes=_kubernetes(written.kubernetes),
    )


def _kubernetes(written: config.KubernetesService | None) -> ir.KubernetesService | None:
    return None if written is None else ir.KubernetesService(written.namespace, written.service, written.port)


def _tls(upstream: config.Upstream) -> ir.UpstreamTls:
    written = upstream.tls
    # Certificates of pods name the Service: their addresses are nobody's.
    service = None if upstream.kubernetes is None else upstream.kubernetes.address.host
    return ir.UpstreamTls(
        minimum_version=written.minimum_version,
        verify=written.verify,
        ca=None if written.ca is None else written.ca.get_secret_value(),
        server_name=written.server_name or service,
        identification=_identification(written),
    )


def _identification(written: config.UpstreamTls) -> ir.Identification | None:
    if written.certificate is None or written.private_key is None:
        return None
    key = ir.Secret(written.private_key.get_secret_value().encode())
    return ir.Identification(written.certificate.get_secret_value(), key)


def _health_check(written: config.Upstream) -> ir.HealthCheck | None:
    check = written.health_check
    if isinstance(check, str):
        return None
    return ir.HealthCheck(
        ask=_ask(check, written),
        interval=check.interval,
        timeout=check.timeout,
        unhealthy_after=check.unhealthy_after,
        healthy_after=check.healthy_after,
    )


def tells_health(upstream: config.Upstream) -> bool:
    """Whether its health is asked in the way of its API, as nothing else is written."""
    check = upstream.health_check
    return upstream.api in OLLAMAS and not isinstance(check, str) and check.path is None and not check.grpc


def _ask(check: config.HealthCheck, upstream: config.Upstream) -> ir.TcpCheck | ir.HttpCheck | ir.GrpcCheck:
    host = check.host or _named_host(upstream)
    if check.grpc:
        return ir.GrpcCheck(check.service or "", host)
    if check.path is not None:
        return ir.HttpCheck(check.path, host, tuple(sorted(check.statuses)))
    if tells_health(upstream):
        base = upstream.addresses[0].path.removesuffix(OPENAI_PATH)
        return ir.HttpCheck(base + OLLAMA_VERSION, host, tuple(sorted(check.statuses)))
    return ir.TcpCheck()


def _named_host(upstream: config.Upstream) -> str | None:
    """The Host that its requests get, where that is one name."""
    return None if upstream.host_header in config.HOST_WORDS else upstream.host_header


def _outlier_detection(written: config.OutlierDetection | None) -> ir.OutlierDetection | None:
    return None if written is None else ir.OutlierDetection(**dict(written))


def _credential(written: config.UpstreamCredential | None) -> ir.Credential | None:
    if written is None:
        return None
    return ir.Credential(written.header, ir.Secret(written.value.get_secret_value().encode()))
