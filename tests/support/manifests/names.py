"""Names, labels and places of documents: what the API server refuses, or takes for something else."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tests.support.manifests.documents import Check, Document, Manifests, containers, place

# RFC 1123 and RFC 1035 as Kubernetes applies them.
LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
SERVICE = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
SUBDOMAIN = re.compile(r"(?=.{1,253}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
PORT_NAME = re.compile(r"(?=.{1,15}$)(?=.*[a-z])(?!.*--)[a-z0-9]([-a-z0-9]*[a-z0-9])?")
LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
LABEL_KEY = re.compile(r"([a-z0-9.-]{1,253}/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
NAME_OF_KIND = {"Service": SERVICE, "Namespace": LABEL}
# A kind in another version is unknown to validators, which then let everything pass.
VERSIONS = {
    "ConfigMap": "v1", "Namespace": "v1", "Secret": "v1", "Service": "v1", "ServiceAccount": "v1",
    "Deployment": "apps/v1", "StatefulSet": "apps/v1", "HorizontalPodAutoscaler": "autoscaling/v2",
    "NetworkPolicy": "networking.k8s.io/v1", "PodDisruptionBudget": "policy/v1",
}  # fmt: skip


def versions(manifests: Manifests, _folder: Path) -> Iterator[str]:
    for document in manifests.documents:
        if VERSIONS.get(document["kind"]) != document["apiVersion"]:
            yield f"{place(document)}: {document['apiVersion']} is no version of this kind that is known here"


def namespaces(manifests: Manifests, _folder: Path) -> Iterator[str]:
    expected = manifests.kustomization["namespace"]
    if manifests.named("Namespace", expected) is None:
        yield f"the kustomization's namespace {expected} is not made"
    for document in manifests.documents:
        if document["kind"] != "Namespace" and document["metadata"].get("namespace") != expected:
            yield f"{place(document)}: is not in the namespace {expected}"


def document_names(manifests: Manifests, _folder: Path) -> Iterator[str]:
    for document in manifests.documents:
        if not NAME_OF_KIND.get(document["kind"], SUBDOMAIN).fullmatch(document["metadata"]["name"]):
            yield f"{place(document)}: is no valid name"
    yield from _twice("", map(place, manifests.documents))


def labels(manifests: Manifests, _folder: Path) -> Iterator[str]:
    for document in manifests.documents:
        for key, value in _labels(document):
            if not isinstance(value, str) or not LABEL_VALUE.fullmatch(value) or not LABEL_KEY.fullmatch(key):
                yield f"{place(document)}: {key}: {value!r} is no valid label"


def _labels(document: Document) -> Iterator[tuple[str, object]]:
    yield from document["metadata"].get("labels", {}).items()
    template = document.get("spec", {}).get("template", {}) if document["kind"] != "NetworkPolicy" else {}
    yield from template.get("metadata", {}).get("labels", {}).items()


def names_in_pods(manifests: Manifests, _folder: Path) -> Iterator[str]:
    for pod in manifests.pods:
        for kind, found, allowed in (
            ("container", [container["name"] for container in pod.containers], LABEL),
            ("volume", [*(volume["name"] for volume in pod.spec.get("volumes", [])), *pod.claims], LABEL),
            ("port", [port["name"] for port in pod.ports if "name" in port], PORT_NAME),
        ):
            yield from (f"{pod.place}: {name} is no valid {kind} name" for name in found if not allowed.fullmatch(name))
            yield from _twice(f"{pod.place}: {kind} ", found)


def variables(manifests: Manifests, _folder: Path) -> Iterator[str]:
    for where, _pod, container in containers(manifests):
        env = container.get("env", [])
        yield from _twice(f"{where}: variable ", (variable["name"] for variable in env))
        for variable in env:
            if ("value" in variable) == ("valueFrom" in variable):
                yield f"{where}: {variable['name']} needs either a value or where it is from"
            if not isinstance(variable.get("value", ""), str):
                yield f"{where}: {variable['name']} is no text: put it in quotes"


def _twice(prefix: str, found: Iterator[str] | list[str]) -> Iterator[str]:
    yield from (f"{prefix}{name} is there twice" for name, count in Counter(found).items() if count > 1)


CHECKS: tuple[Check, ...] = (versions, namespaces, document_names, labels, names_in_pods, variables)
