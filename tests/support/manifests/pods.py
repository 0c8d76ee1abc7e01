"""Ports, probes, resources and the end of a pod."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

from tests.support.manifests.configuration import command, complaint, environ
from tests.support.manifests.documents import Check, Manifests, Pod, containers, place
from tollgate_cli.container import health
from tollgate_cli.container.__main__ import parsed
from tollgate_cli.container.envoy import STOP_GRACE as ENVOY_GRACE
from tollgate_cli.container.envoy import Settings

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
# What a process may take to stop once it is told to.
STOP_GRACE = 10
# What the kubelet is given to notice that the last container has gone.
MARGIN = 5
ENVOY = ("tollgate_cli.container", "run")


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
        if _is_envoy(container):
            yield from _wrong_life(where, container)


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


def _wrong_life(where: str, container: Mapping[str, Any]) -> Iterator[str]:
    """Envoy's life is asked of its admin interface: what it serves may be refused to the kubelet as to anybody."""
    settings = _settings(command(container), environ(container))
    for name in ("startupProbe", "livenessProbe"):
        match container.get(name):
            case {"exec": {"command": [_, "-m", "tollgate_cli.container.health", *arguments]}}:
                asked = health.question(arguments, environ(container))
            case _:
                asked = None
        if settings is not None and asked != ("envoy", str(settings.admin)):
            yield f"{where}: {name}: does not ask Envoy at {settings.admin}"


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
    """A pod has time for everything that its containers do at its end, and what Envoy asks is there until it has gone.

    All begin at the same moment; each runs its hook, and is told to stop after it.
    """
    for pod in manifests.pods:
        grace = pod.spec.get("terminationGracePeriodSeconds", DEFAULT_GRACE)
        hooks = {one["name"]: _hook_seconds(one) for one in pod.containers}
        stops = {one["name"]: _stop_seconds(one) for one in pod.containers}
        for name, hook in hooks.items():
            if hook is None:
                yield f"{pod.place}: {name}: nobody knows how long its preStop hook takes"
            elif hook + stops[name] + MARGIN > grace:
                yield f"{pod.place}: {name}: ends after {hook + stops[name]} s at most, the pod has {grace} s"
        yield from _too_early(pod, hooks, stops)


def _too_early(pod: Pod, hooks: Mapping[str, int | None], stops: Mapping[str, int]) -> Iterator[str]:
    for envoy in (one["name"] for one in pod.containers if _is_envoy(one)):
        gone = (hooks[envoy] or 0) + stops[envoy]
        for name, hook in hooks.items():
            if name != envoy and (hook or 0) <= gone:
                yield f"{pod.place}: {name}: is told to stop after {hook or 0} s, while Envoy may need {gone} s"


def _is_envoy(container: Mapping[str, Any]) -> bool:
    return any(pair == ENVOY for pair in pairwise(command(container)))


def _hook_seconds(container: Mapping[str, Any]) -> int | None:
    """For how long the hook before a container's end runs at most; None where nobody knows."""
    hook = container.get("lifecycle", {}).get("preStop")
    match hook:
        case None:
            return 0
        case {"sleep": {"seconds": int(seconds)}}:
            return seconds
        case {"exec": {"command": [_, "-m", "tollgate_cli.container", *_] as program}}:
            return _drain_seconds(program, environ(container))
    return None


def _stop_seconds(container: Mapping[str, Any]) -> int:
    """What a container may take from SIGTERM on: Envoy's drains it first."""
    if not _is_envoy(container):
        return STOP_GRACE
    return (_drain_seconds(command(container), environ(container)) or 0) + int(ENVOY_GRACE)


def _drain_seconds(program: Sequence[str], variables: Mapping[str, str]) -> int | None:
    settings = _settings(program, variables)
    return None if settings is None else int(settings.drain_delay + settings.drain_patience)


def _settings(program: Sequence[str], variables: Mapping[str, str]) -> Settings | None:
    """The settings of a command of Envoy's container, from wherever it has them; None where they are wrong, which
    another check says.
    """
    return None if complaint(program, variables) else parsed(program[3:], variables)[1]


CHECKS: tuple[Check, ...] = (ports, probes, resources, endings)
