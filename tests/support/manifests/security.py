"""What every pod gives up: root, its file system, capabilities, the API server, the host."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.support.manifests.documents import Check, Manifests, containers

POD = {
    "automountServiceAccountToken": False,
    # Names of Services would become TOLLGATE_... variables, which are our settings.
    "enableServiceLinks": False,
}
POD_CONTEXT = {"runAsNonRoot": True, "runAsUser": 10001, "fsGroup": 10001, "seccompProfile": {"type": "RuntimeDefault"}}
CONTAINER = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}
OF_THE_HOST = ("hostNetwork", "hostPID", "hostIPC")


def pods(manifests: Manifests, _folder: Path) -> Iterator[str]:
    for pod in manifests.pods:
        yield from _differing(pod.place, POD, pod.spec)
        yield from _differing(pod.place, POD_CONTEXT, pod.spec.get("securityContext", {}))
        yield from (f"{pod.place}: {field} is the host's" for field in OF_THE_HOST if pod.spec.get(field))
        yield from (
            f"{pod.place}: mounts a path of the host" for volume in pod.spec.get("volumes", []) if "hostPath" in volume
        )


def contained(manifests: Manifests, _folder: Path) -> Iterator[str]:
    for where, _pod, container in containers(manifests):
        context = container.get("securityContext", {})
        yield from _differing(where, CONTAINER, context)
        yield from (f"{where}: {field} loosens the pod's" for field in context.keys() - CONTAINER.keys())


def _differing(where: str, expected: Mapping[str, Any], found: Mapping[str, Any]) -> Iterator[str]:
    for field, value in expected.items():
        if found.get(field) != value:
            yield f"{where}: {field} is not {value}"


CHECKS: tuple[Check, ...] = (pods, contained)
