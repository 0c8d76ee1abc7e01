"""What one document says of another one, or of itself in another place."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.support.manifests.documents import Check, Manifests, Pod, containers, place


def keys(manifests: Manifests, kind: str, name: str) -> frozenset[str] | None:
    """The keys of a ConfigMap or Secret; None where there is no such one."""
    document = manifests.named(kind, name)
    if document is None:
        return None
    return frozenset(key for field in ("data", "stringData", "binaryData") for key in document.get(field) or {})


def variables(manifests: Manifests, _folder: Path) -> Iterator[str]:
    for where, _pod, container in containers(manifests):
        for variable in container.get("env", []):
            for field, kind in (("secretKeyRef", "Secret"), ("configMapKeyRef", "ConfigMap")):
                if reference := variable.get("valueFrom", {}).get(field):
                    yield from _missing_key(manifests, where, kind, reference["name"], reference["key"])


def _missing_key(manifests: Manifests, where: str, kind: str, name: str, key: str) -> Iterator[str]:
    there = keys(manifests, kind, name)
    if there is None:
        yield f"{where}: there is no {kind} {name}"
    elif key not in there:
        yield f"{where}: {kind} {name} has no key {key}"


def expanded_variables(manifests: Manifests, _folder: Path) -> Iterator[str]:
    """`$(NAME)` is replaced by a variable that stands further up, and left as it is where none does."""
    for where, _pod, container in containers(manifests):
        known: set[str] = set()
        for variable in container.get("env", []):
            for part in str(variable.get("value", "")).split("$(")[1:]:
                if part.partition(")")[0] not in known:
                    yield f"{where}: {variable['name']}: no variable {part.partition(')')[0]} stands further up"
            known.add(variable["name"])


def mounts(manifests: Manifests, _folder: Path) -> Iterator[str]:
    for pod in manifests.pods:
        volumes = {volume["name"]: volume for volume in pod.spec.get("volumes", [])}
        mounted: set[str] = set()
        for container in pod.containers:
            for mount in container.get("volumeMounts", []):
                mounted.add(mount["name"])
                yield from _wrong_mount(f"{pod.place}: {container['name']}", mount, pod, volumes)
            paths = [mount["mountPath"] for mount in container.get("volumeMounts", [])]
            if len(set(paths)) < len(paths):
                yield f"{pod.place}: {container['name']}: two volumes are mounted at one path"
        yield from (f"{pod.place}: volume {name} is mounted nowhere" for name in volumes.keys() - mounted)


def _wrong_mount(
    where: str, mount: Mapping[str, Any], pod: Pod, volumes: Mapping[str, Mapping[str, Any]]
) -> Iterator[str]:
    name = mount["name"]
    if name not in volumes and name not in pod.claims:
        yield f"{where}: there is no volume {name}"
    if not mount["mountPath"].startswith("/") or ":" in mount["mountPath"]:
        yield f"{where}: {mount['mountPath']} is no path to mount at"
    if "subPath" in mount and "configMap" in volumes.get(name, {}):
        yield f"{where}: {name} is mounted by subPath, which never follows an edit"


def volumes(manifests: Manifests, _folder: Path) -> Iterator[str]:
    for pod in manifests.pods:
        for volume in pod.spec.get("volumes", []):
            where = f"{pod.place}: volume {volume['name']}"
            if len(volume) != 2:
                yield f"{where}: needs exactly one source"
            for source, kind, field in (("configMap", "ConfigMap", "name"), ("secret", "Secret", "secretName")):
                if source in volume:
                    yield from _missing_items(manifests, where, kind, volume[source][field], volume[source])


def _missing_items(manifests: Manifests, where: str, kind: str, name: str, source: Mapping[str, Any]) -> Iterator[str]:
    if keys(manifests, kind, name) is None:
        yield f"{where}: there is no {kind} {name}"
    else:
        for item in source.get("items", []):
            yield from _missing_key(manifests, where, kind, name, item["key"])


def service_accounts(manifests: Manifests, _folder: Path) -> Iterator[str]:
    for pod in manifests.pods:
        account = pod.spec.get("serviceAccountName")
        if account is None or manifests.named("ServiceAccount", account) is None:
            yield f"{pod.place}: there is no ServiceAccount {account}"


def headless_services(manifests: Manifests, _folder: Path) -> Iterator[str]:
    for workload in manifests.of("StatefulSet"):
        service = manifests.named("Service", workload["spec"]["serviceName"])
        if service is None or service["spec"].get("clusterIP") != "None":
            yield f"{place(workload)}: there is no headless Service {workload['spec']['serviceName']}"


CHECKS: tuple[Check, ...] = (variables, expanded_variables, mounts, volumes, service_accounts, headless_services)
