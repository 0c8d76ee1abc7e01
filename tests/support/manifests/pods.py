"""Ports, probes, resources and the end of a pod."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

from tests.support.manifests.documents import Check, Manifests, Pod, containers, place

HANDLERS = ("exec", "grpc", "httpGet", "tcpSocket")
PROBES = ("startupProbe", "livenessProbe", "readinessProbe")
LARGEST_PORT = 65535
QUANTITY = re.compile(r"(\d+(?:\.\d+)?)(m|k|M|G|T|Ki|Mi|Gi|Ti)?")
UNITS = {
    None: Decimal(1), "m": Decimal("0.001"), "k": Decimal(10**3), "M": Decimal(10**6), "G": Decimal(10**9),
    "T": Decimal(10**12), "Ki": Decimal(2**10), "Mi": Decimal(2**20), "Gi": Decimal(2**30), "Ti": Decimal(2**40),
}  # fmt: skip
# Kubernetes gives a pod so long where it says nothing.
DEFAULT_GRACE = 30
# What a process may take to stop after its preStop hook.
STOP_GRACE = 10
DRAIN, OUTLAST = "drain", "outlast"


def ports(manifests: Manifests, _folder: Path) -> Iterator[str]:
    for pod in manifests.pods:
        numbers = Counter(port["containerPort"] for port in pod.ports)
        yield from (f"{pod.place}: {port} is no port" for port in numbers if not 0 < port <= LARGEST_PORT)
        # the containers of a pod share its addresses
        yield from (f"{pod.place}: port {port} is taken twice" for port, count in numbers.items() if count > 1)
    for service in manifests.of("Service"):
        found = service["spec"]["ports"]
        yield from (
            f"{place(service)}: {port['port']} is no port" for port in found if not 0 < port["port"] <= LARGEST_PORT
        )
        if len(found) > 1 and len({port.get("name") for port in found}) < len(found):
            yield f"{place(service)}: each of several ports needs a name of its own"


def probes(manifests: Manifests, _folder: Path) -> Iterator[str]:
    for where, _pod, container in containers(manifests):
        for name in PROBES:
            if name not in container:
                yield f"{where}: has no {name}"
            else:
                yield from _wrong_probe(f"{where}: {name}", name, container[name], container)


def _wrong_probe(where: str, name: str, probe: Mapping[str, Any], container: Mapping[str, Any]) -> Iterator[str]:
    handlers = [handler for handler in HANDLERS if handler in probe]
    if len(handlers) != 1:
        yield f"{where}: needs exactly one handler, not {len(handlers)}"
    for handler in handlers:
        port = probe[handler].get("port")
        declared = [known for own in container.get("ports", []) for known in (own.get("name"), own["containerPort"])]
        if handler != "exec" and port not in declared:
            yield f"{where}: asks the port {port}, which the container does not declare"
        if handler == "grpc" and not isinstance(port, int):
            yield f"{where}: gRPC probes take the number of a port, not its name"
        if handler == "httpGet" and not probe[handler].get("path", "").startswith("/"):
            yield f"{where}: asks for no path"
    if name != "readinessProbe" and probe.get("successThreshold", 1) != 1:
        yield f"{where}: successThreshold must be 1"
    if probe.get("timeoutSeconds", 1) > probe.get("periodSeconds", 10):
        yield f"{where}: may take longer than its period"


def resources(manifests: Manifests, _folder: Path) -> Iterator[str]:
    for where, _pod, container in containers(manifests):
        requests = container.get("resources", {}).get("requests", {})
        limits = container.get("resources", {}).get("limits", {})
        yield from (f"{where}: requests no {wanted}" for wanted in ("cpu", "memory") if wanted not in requests)
        if "memory" not in limits:
            yield f"{where}: its memory has no limit"
        for name, value in (*requests.items(), *limits.items()):
            if quantity(value) is None:
                yield f"{where}: {value!r} is no quantity of {name}"
        for name in requests.keys() & limits.keys():
            requested, limit = quantity(requests[name]), quantity(limits[name])
            if requested is not None and limit is not None and requested > limit:
                yield f"{where}: requests more {name} than its limit"


def quantity(text: object) -> Decimal | None:
    """The number that a quantity stands for; None where it is none."""
    matched = QUANTITY.fullmatch(str(text))
    return Decimal(matched[1]) * UNITS[matched[2]] if matched else None


def endings(manifests: Manifests, _folder: Path) -> Iterator[str]:
    """A pod has time for its drain, and what Envoy asks is there until the drain is over."""
    for pod in manifests.pods:
        grace = pod.spec.get("terminationGracePeriodSeconds", DEFAULT_GRACE)
        drained = 0
        for container in pod.containers:
            action, seconds = _pre_stop(container)
            if action is not None and seconds + STOP_GRACE > grace:
                yield f"{pod.place}: {container['name']}: {action} takes {seconds} s, the pod has {grace} s"
            drained = max(drained, seconds if action == DRAIN else 0)
        yield from _too_early(pod, drained)


def _too_early(pod: Pod, drained: int) -> Iterator[str]:
    for container in pod.containers:
        action, seconds = _pre_stop(container)
        if drained and action != DRAIN and seconds < drained:
            yield f"{pod.place}: {container['name']}: ends after {seconds} s, while Envoy is drained for {drained} s"


def _pre_stop(container: Mapping[str, Any]) -> tuple[str | None, int]:
    """What the container does before it stops, and for how long at most."""
    command = container.get("lifecycle", {}).get("preStop", {}).get("exec", {}).get("command", [])
    action = next((known for known in (DRAIN, OUTLAST) if known in command), None)
    seconds = [int(value) for flag, value in pairwise(command) if flag.startswith("--drain-")]
    return action, sum(seconds)


CHECKS: tuple[Check, ...] = (ports, probes, resources, endings)
