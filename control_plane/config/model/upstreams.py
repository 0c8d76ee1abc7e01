"""Services behind the gateway: where they are, how they are reached, watched and spared."""

import re
from typing import Annotated, Literal, Self

from pydantic import Field, Tag, model_validator

from control_plane.config.model.base import MAPPING, WORD, Model, Some, Unique, shapes
from control_plane.config.model.retries import Retries
from control_plane.config.model.secrets import Authorities, CertificateChain, HeaderSecret, PrivateKey, check_pair
from control_plane.config.values.base import Mistake, scalar
from control_plane.config.values.kubernetes import Label, ServicePort
from control_plane.config.values.network import DEFAULT_PORTS, HOST_PATTERN, UpstreamAddress, UpstreamUrl, host
from control_plane.config.values.paths import AbsolutePath
from control_plane.config.values.providers import ProviderWord
from control_plane.config.values.quantities import Between, Percent, Seconds
from control_plane.config.values.text import HEADER_PATTERN, HeaderName, Text

Positive = Annotated[int, Between(1, 1_000_000)]
HOST_WORDS = ("client", "upstream")
Status = Annotated[int, Between(100, 599)]
HASH_KEY_PATTERN = rf"^(ip|subject|header {HEADER_PATTERN[1:-1]}|cookie [A-Za-z0-9_.-]{{1,128}})$"


def hash_key(text: str) -> str:
    """What requests of one kind share: they go to one endpoint."""
    if not re.fullmatch(HASH_KEY_PATTERN, text):
        raise Mistake("is nothing to hash by", "write ip, subject, `header x-user` or `cookie session`", value=text)
    return text


def server_name(text: str) -> str:
    """The name of one server."""
    if text.startswith("*."):
        raise Mistake("has `*`, which names no single host", "write one host", value=text)
    return host(text)


def host_header(text: str) -> str:
    """What an upstream is told as Host."""
    return text if text in HOST_WORDS else server_name(text)


ServerName = Annotated[str, scalar(server_name, pattern=HOST_PATTERN, description="a host such as api.example.com")]
HostHeader = Annotated[
    str, scalar(host_header, pattern=HOST_PATTERN, description="`client`, `upstream` or a host such as api.example.com")
]
HashKey = Annotated[
    str, scalar(hash_key, pattern=HASH_KEY_PATTERN, description="`ip`, `subject`, `header NAME` or `cookie NAME`")
]


class UpstreamTls(Model):
    """How an https upstream proves who it is, and how the gateway does."""

    ca: Authorities | None = Field(
        None, description="authorities that sign its certificate, as PEM, best `file:PATH`; the system's without it"
    )
    server_name: ServerName | None = Field(
        None, description="name asked for (SNI) and verified; the endpoint's host without it"
    )
    verify: bool = Field(default=True, description="whether its certificate is verified; off only for tests")
    certificate: CertificateChain | None = Field(None, description="client certificate of the gateway, for mutual TLS")
    private_key: PrivateKey | None = Field(None, description="its private key")
    minimum_version: Literal["1.2", "1.3"] = Field("1.2", description="oldest version of TLS that is spoken")

    @model_validator(mode="after")
    def _pair(self) -> Self:
        if (self.certificate is None) != (self.private_key is None):
            lacking = "private_key" if self.private_key is None else "certificate"
            raise Mistake(f"`{lacking}` is missing", "write both, or neither")
        if self.certificate is not None and self.private_key is not None:
            check_pair(self.certificate, self.private_key)
        if not self.verify and self.ca is not None:
            raise Mistake("nothing is verified, so `ca` is of no use", "drop one of them", at=("verify",))
        return self


class HealthCheck(Model):
    """How the gateway asks an upstream whether it is well. Without `path` and `grpc`, by opening a connection."""

    path: AbsolutePath | None = Field(None, description="GET on it must answer one of `statuses`")
    grpc: bool = Field(default=False, description="asks grpc.health.v1 instead")
    service: Text | None = Field(
        None, description="service that grpc.health.v1 is asked about; the whole server without it"
    )
    host: ServerName | None = Field(
        None, description="Host header of the check; without it, the upstream's `host_header`, or the endpoint's host"
    )
    statuses: Annotated[tuple[Status, ...], Some, Unique] = Field((200,), description="statuses of a healthy answer")
    interval: Seconds = Field(10.0, description="time between checks")
    timeout: Seconds = Field(2.0, description="longest wait for an answer")
    unhealthy_after: Positive = Field(
        2, description="failures in a row after which an endpoint gets no requests, unless all of them fail"
    )
    healthy_after: Positive = Field(1, description="successes in a row after which it gets them again")

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.path is not None and self.grpc:
            raise Mistake("the check asks by `path` and by `grpc`", "drop one of them", at=("grpc",))
        if self.service is not None and not self.grpc:
            raise Mistake("`service` is for gRPC checks", "add `grpc: true`, or drop it", at=("service",))
        if self.grpc and "statuses" in self.model_fields_set:
            raise Mistake("gRPC health has no statuses", "drop them", at=("statuses",))
        return self


class LoadBalancing(Model):
    """Which of the endpoints gets a request."""

    policy: Literal["round_robin", "least_request", "random", "ring_hash", "maglev"] = Field(
        "round_robin", description="how an endpoint is chosen"
    )
    hash_by: HashKey | None = Field(None, description="what sends requests to one endpoint; for ring_hash and maglev")

    @model_validator(mode="after")
    def _hash_where_hashed(self) -> Self:
        hashed = self.policy in ("ring_hash", "maglev")
        if hashed and self.hash_by is None:
            raise Mistake(f"{self.policy} needs something to hash", "add `hash_by: ip`", at=("policy",))
        if self.hash_by is not None and not hashed:
            raise Mistake(f"{self.policy} hashes nothing", "write `policy: maglev`, or drop it", at=("hash_by",))
        return self


class CircuitBreaker(Model):
    """What one Envoy asks of an upstream at a time; a request above it is refused with 503 at once."""

    max_connections: Positive = Field(1024, description="connections")
    max_pending: Positive = Field(1024, description="requests that wait for a connection")
    max_requests: Positive = Field(1024, description="requests under way")
    retry_budget: Percent = Field(20.0, description="share of requests under way that may be retries, in percent")
    min_retries: Annotated[int, Between(0, 1_000_000)] = Field(
        3, description="retries that are allowed whatever the share"
    )


class OutlierDetection(Model):
    """When an endpoint that answers badly is left alone for a while."""

    consecutive_5xx: Positive = Field(5, description="server errors in a row")
    interval: Seconds = Field(10.0, description="time between looks")
    ejection_time: Seconds = Field(30.0, description="first time left alone; longer with each further one")
    max_ejected: Percent = Field(50.0, description="most endpoints left alone at a time, in percent; one at least")


class UpstreamCredential(Model):
    """A header that the gateway adds on the way to the upstream; clients never see it."""

    header: HeaderName = Field(description="its name")
    value: HeaderSecret = Field(description="its value")


class KubernetesService(Model):
    """A Service of Kubernetes: its pods are the endpoints, as its EndpointSlices tell them."""

    namespace: Label = Field("default", description="its namespace")
    service: Label = Field(description="its name")
    port: ServicePort = Field(description="the name of its port, or the number that the pods listen on")
    scheme: Literal["http", "https"] = Field("http", description="`https` where the pods speak TLS")

    @property
    def address(self) -> UpstreamAddress:
        """Where the cluster's own clients find it, by its scheme's default port: another one is not in the slices."""
        host = f"{self.service}.{self.namespace}.svc"
        return UpstreamAddress(host, DEFAULT_PORTS[self.scheme], tls=self.scheme == "https", path="")


class Upstream(Model):
    """A service behind the gateway."""

    url: UpstreamUrl | None = Field(None, description="its only endpoint, http[s]://HOST:PORT")
    endpoints: Annotated[tuple[UpstreamUrl, ...], Unique] = Field((), description="its endpoints, http[s]://HOST:PORT")
    kubernetes: KubernetesService | None = Field(
        None, description="instead of `url` and `endpoints`: the pods of a Service, followed as they come and go"
    )
    api: ProviderWord | None = Field(
        None, description="whose API it speaks, for `models`; `ollama` and `ollama-native` tell health at /api/version"
    )
    protocol: Literal["http1", "http2"] = Field("http1", description="`http2` for gRPC and other HTTP/2 services")
    tls: UpstreamTls = Field(UpstreamTls(), description="of https endpoints")
    host_header: HostHeader | None = Field(
        None,
        description="`client`: as the client sent it, `upstream`: the endpoint's, or a name; without it, "
        "`upstream` where https by name, else `client`",
    )
    timeout: Seconds | None = Field(None, description="for routes that name none; 30s without either")
    connect_timeout: Seconds = Field(2.0, description="time to connect")
    retries: Retries | None = Field(None, description="for routes that name none; no retries without either")
    health_check: Annotated[
        Annotated[Literal["none"], Tag(WORD)] | Annotated[HealthCheck, Tag(MAPPING)],
        shapes("`none` or the keys of a check", "write `health_check: none`, or {path: /health}"),
    ] = Field(HealthCheck(), description="how its health is asked; a connection every 10s without it; `none` is off")
    load_balancing: LoadBalancing = Field(LoadBalancing(), description="which endpoint gets a request")
    circuit_breaker: CircuitBreaker = Field(CircuitBreaker(), description="what is asked of it at a time")
    outlier_detection: OutlierDetection | None = Field(
        None, description="leaves alone what answers badly; off without it"
    )
    credential: UpstreamCredential | None = Field(None, description="a header that the gateway adds")
    readiness: Literal["required", "ignored"] = Field(
        "ignored", description="`required`: /readyz answers 503 while no endpoint is healthy"
    )

    @model_validator(mode="after")
    def _one_way_to_name_endpoints(self) -> Self:
        if self.url is not None and self.endpoints:
            raise Mistake("the upstream has `url` and `endpoints`", "put all of them into `endpoints`", at=("url",))
        if self.kubernetes is not None and self.addresses != (self.kubernetes.address,):
            raise Mistake("the upstream has `kubernetes` and addresses", "drop one of them", at=("kubernetes",))
        if not self.addresses:
            raise Mistake("the upstream has no endpoint", "write `url: http://HOST:PORT`, or a list `endpoints`")
        return self

    @property
    def addresses(self) -> tuple[UpstreamAddress, ...]:
        """All of its endpoints; of a Service, its own name, which stands for its pods."""
        written = self.endpoints if self.url is None else (self.url,)
        return written if written or self.kubernetes is None else (self.kubernetes.address,)

    @property
    def trusts_the_system(self) -> bool:
        """Whether its certificate is verified by the authorities of this machine."""
        return any(address.tls for address in self.addresses) and self.tls.verify and self.tls.ca is None
