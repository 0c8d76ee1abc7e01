"""Who selects whom: a selector that selects nothing, or another pod than was meant, is valid and does nothing."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.support.manifests.documents import Check, Document, Manifests, Pod, place


def workloads(manifests: Manifests, _folder: Path) -> Iterator[str]:
    for workload, pod in zip(manifests.of("Deployment", "StatefulSet"), manifests.pods, strict=True):
        wanted = workload["spec"]["selector"]["matchLabels"]
        if not wanted or not wanted.items() <= pod.labels.items():
            yield f"{place(workload)}: does not select its own pods"
        elif manifests.pods_with(wanted) != [pod]:
            yield f"{place(workload)}: selects the pods of another workload, too"


def services(manifests: Manifests, _folder: Path) -> Iterator[str]:
    for service in manifests.of("Service"):
        pods = manifests.pods_with(service["spec"]["selector"])
        if len(pods) != 1:
            yield f"{place(service)}: selects the pods of {len(pods)} workloads"
        for port in service["spec"]["ports"]:
            yield from _missing_target(place(service), port, pods)


def _missing_target(where: str, port: Mapping[str, Any], pods: Sequence[Pod]) -> Iterator[str]:
    target = port.get("targetPort", port["port"])
    yield from (
        f"{where}: no container of {pod.place} has the port {target}" for pod in pods if not pod.has_port(target)
    )


def disruption_budgets(manifests: Manifests, _folder: Path) -> Iterator[str]:
    for budget in manifests.of("PodDisruptionBudget"):
        yield from _selects_one(manifests, budget, budget["spec"]["selector"]["matchLabels"])


def network_policies(manifests: Manifests, _folder: Path) -> Iterator[str]:
    for policy in manifests.of("NetworkPolicy"):
        wanted = policy["spec"]["podSelector"].get("matchLabels")
        if wanted:
            yield from _selects_one(manifests, policy, wanted)
            yield from _closed_ports(policy, manifests.pods_with(wanted))
        yield from _strangers(manifests, policy)


def _selects_one(manifests: Manifests, document: Document, wanted: Mapping[str, str]) -> Iterator[str]:
    if len(manifests.pods_with(wanted)) != 1:
        yield f"{place(document)}: selects the pods of {len(manifests.pods_with(wanted))} workloads"


def _closed_ports(policy: Document, pods: Sequence[Pod]) -> Iterator[str]:
    for rule in policy["spec"].get("ingress", []):
        for port in rule.get("ports", []):
            if not all(pod.has_port(port["port"]) for pod in pods):
                yield f"{place(policy)}: opens the port {port['port']}, which its pods do not have"


def _strangers(manifests: Manifests, policy: Document) -> Iterator[str]:
    for rule in policy["spec"].get("ingress", []):
        for peer in rule.get("from", []):
            wanted = peer.get("podSelector", {}).get("matchLabels")
            if wanted and "namespaceSelector" not in peer and not manifests.pods_with(wanted):
                yield f"{place(policy)}: lets in pods that there are not: {wanted}"


def everything_served_is_reachable(manifests: Manifests, _folder: Path) -> Iterator[str]:
    """Where a policy denies by default, a port of a Service that none opens is closed."""
    for service in manifests.of("Service"):
        for pod in manifests.pods_with(service["spec"]["selector"]):
            opened = {
                port["port"]
                for policy in manifests.of("NetworkPolicy")
                if pod in manifests.pods_with(policy["spec"]["podSelector"].get("matchLabels", {}))
                for rule in policy["spec"].get("ingress", [])
                for port in rule.get("ports", [])
            }
            for port in service["spec"]["ports"]:
                if port["port"] not in opened:
                    yield f"{place(service)}: no NetworkPolicy lets anybody reach its port {port['port']}"


def spread(manifests: Manifests, _folder: Path) -> Iterator[str]:
    for pod in manifests.pods:
        for constraint in pod.spec.get("topologySpreadConstraints", []):
            if not constraint["labelSelector"]["matchLabels"].items() <= pod.labels.items():
                yield f"{pod.place}: spreads other pods than its own over {constraint['topologyKey']}"


CHECKS: tuple[Check, ...] = (
    workloads, services, disruption_budgets, network_policies, everything_served_is_reachable, spread,
)  # fmt: skip
