"""What EndpointSlices of a Service say: which pods get requests, by the rules of kube-proxy.

A slice is read as a whole or not at all; keys that do not matter here may hold anything. The first address of an
endpoint stands for it, as the API says; of a pod with both families it is the IPv4 one, as with names in DNS.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from ipaddress import ip_address
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

IPV6 = "IPv6"
LARGEST_PORT = 65535


@dataclass(frozen=True, order=True)
class Endpoint:
    """A pod's address and port, and the name that its upstream is known by."""

    host: str
    port: int
    known_as: str


# By the name of the upstream; None where nothing was heard yet, which is not the same as nobody.
Moving = Mapping[str, tuple[Endpoint, ...] | None]


class Unreadable(ValueError):  # noqa: N818 - a verdict on what others wrote, not a fault of the program
    """What the API server said cannot be taken for what it should be."""


def _canonical(text: str) -> str:
    """The address as text that is the same for all who read it; no address of one interface, of nobody or of many."""
    address = ip_address(text)
    if "%" in text or address.is_unspecified or address.is_multicast:
        raise ValueError("is no address of a pod")
    return str(address)


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, alias_generator=to_camel, hide_input_in_errors=True)


class Conditions(_Part):
    """What is known of a pod; where nothing is said it is ready, and serves while it is ready."""

    ready: bool | None = None
    serving: bool | None = None
    terminating: bool | None = None

    @property
    def is_ready(self) -> bool:
        return self.ready is not False

    @property
    def is_draining(self) -> bool:
        """Whether it is about to end, and answers still."""
        serves = self.is_ready if self.serving is None else self.serving
        return bool(self.terminating) and serves


class Pod(_Part):
    addresses: Annotated[tuple[str, ...], Field(min_length=1, strict=False)]
    conditions: Conditions | None = None


class Port(_Part):
    """A port of all pods of a slice; without a number, every port is meant."""

    name: str | None = None
    port: Annotated[int, Field(ge=1, le=LARGEST_PORT)] | None = None
    protocol: str | None = None

    @property
    def is_tcp(self) -> bool:
        return self.protocol in (None, "TCP")


class Metadata(_Part):
    name: Annotated[str, Field(min_length=1)]
    resource_version: str = ""


class EndpointSlice(_Part):
    """One slice, as discovery.k8s.io/v1 has it."""

    metadata: Metadata
    address_type: Literal["IPv4", "IPv6", "FQDN"]
    endpoints: Annotated[tuple[Pod, ...], Field(strict=False)] | None = None
    ports: Annotated[tuple[Port, ...], Field(strict=False)] | None = None

    @cached_property
    def hosts(self) -> tuple[tuple[str, Conditions], ...]:
        """The address of each pod and what is known of it; none of names, which kube-proxy does not follow either."""
        pods = () if self.address_type == "FQDN" else self.endpoints or ()
        return tuple((_canonical(pod.addresses[0]), pod.conditions or Conditions()) for pod in pods)

    def number_of(self, port: str | int) -> int | None:
        """The number of the port on these pods; None where they do not have it."""
        offered = [item for item in self.ports or () if item.is_tcp]
        if isinstance(port, str):
            return next((item.port for item in offered if item.name == port), None)
        # A Service without ports of its own leaves them all to the client.
        anything = not self.ports or any(item.port is None for item in offered)
        return port if anything or any(item.port == port for item in offered) else None


def _consistent(found: EndpointSlice) -> EndpointSlice:
    for address, _ in found.hosts:
        if (":" in address) != (found.address_type == IPV6):
            raise ValueError("an address is not of the slice's type")
    return found


class _Checked(BaseModel):
    slice: Annotated[EndpointSlice, AfterValidator(_consistent)]


def endpoint_slice(content: object) -> EndpointSlice:
    """The slice that this JSON is; Unreadable for anything else."""
    try:
        return _Checked.model_validate({"slice": content}).slice
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"][1:]))
        raise Unreadable(f"{place}: {first['msg']}".removeprefix(": ")) from None


def endpoints_of(slices: Iterable[EndpointSlice], port: str | int, known_as: str) -> tuple[Endpoint, ...]:
    """Who gets requests: pods that are ready; where none is, those that end but still serve. Each once, sorted."""
    ready: set[Endpoint] = set()
    draining: set[Endpoint] = set()
    for item in slices:
        number = item.number_of(port)
        if number is None:
            continue
        for host, conditions in item.hosts:
            if conditions.is_ready:
                ready.add(Endpoint(host, number, known_as))
            elif conditions.is_draining:
                draining.add(Endpoint(host, number, known_as))
    return tuple(sorted(_of_one_family(ready or draining)))


def offered_ports(slices: Iterable[EndpointSlice]) -> tuple[str, ...]:
    """The ports that the pods have, in words."""
    ports = {item for found in slices for item in found.ports or () if item.is_tcp and item.port is not None}
    return tuple(sorted(f"{item.port} ({item.name})" if item.name else str(item.port) for item in ports))


def _of_one_family(endpoints: set[Endpoint]) -> set[Endpoint]:
    return {item for item in endpoints if ":" not in item.host} or endpoints
