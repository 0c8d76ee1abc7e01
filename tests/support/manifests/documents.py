"""Manifests as they are read from a kustomization: its resources one after another, and the example of the Secret."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

Document = dict[str, Any]
Check = Callable[["Manifests", Path], Iterator[str]]

KUSTOMIZATION = "kustomization.yaml"
# Given to people to copy, and never applied with the rest: it would overwrite the real one.
EXAMPLES = ("secret.example.yaml",)


@dataclass(frozen=True)
class Pod:
    """The pods of a workload: where they are defined, their labels, and their specification."""

    place: str
    labels: Mapping[str, str]
    spec: Mapping[str, Any]
    claims: Sequence[str]

    @property
    def containers(self) -> Sequence[Mapping[str, Any]]:
        return [*self.spec.get("initContainers", []), *self.spec["containers"]]

    @property
    def ports(self) -> Sequence[Mapping[str, Any]]:
        return [port for container in self.containers for port in container.get("ports", [])]

    def has_port(self, port: str | int) -> bool:
        return any(port in (declared.get("name"), declared["containerPort"]) for declared in self.ports)


@dataclass(frozen=True)
class Manifests:
    """The documents of a folder."""

    kustomization: Document
    documents: tuple[Document, ...]

    def of(self, *kinds: str) -> Sequence[Document]:
        return [document for document in self.documents if document["kind"] in kinds]

    def named(self, kind: str, name: str) -> Document | None:
        return next((found for found in self.of(kind) if found["metadata"]["name"] == name), None)

    @cached_property
    def pods(self) -> Sequence[Pod]:
        return [_pod(document) for document in self.of("Deployment", "StatefulSet")]

    def pods_with(self, labels: Mapping[str, str]) -> Sequence[Pod]:
        """The pods that a selector of these labels selects."""
        return [pod for pod in self.pods if labels.items() <= pod.labels.items()]


def _pod(workload: Document) -> Pod:
    template = workload["spec"]["template"]
    claims = [claim["metadata"]["name"] for claim in workload["spec"].get("volumeClaimTemplates", [])]
    return Pod(place(workload), template["metadata"].get("labels", {}), template["spec"], claims)


def place(document: Document) -> str:
    return f"{document['kind']} {document['metadata']['name']}"


def containers(manifests: Manifests) -> Iterator[tuple[str, Pod, Mapping[str, Any]]]:
    """Each container with its place in words and its pod."""
    for pod in manifests.pods:
        for container in pod.containers:
            yield f"{pod.place}: {container['name']}", pod, container


def loaded(folder: Path) -> Manifests:
    """The manifests of a folder."""
    kustomization = yaml.safe_load((folder / KUSTOMIZATION).read_text())
    files = [*kustomization["resources"], *EXAMPLES]
    # through text and back, so that a document that is changed for a test shares nothing with another one
    documents = [document for file in files for document in yaml.safe_load_all((folder / file).read_text())]
    return Manifests(kustomization, tuple(map(_unshared, documents)))


def _unshared(document: Document) -> Document:
    """The document without YAML's anchors, which make two places of it one object."""
    if isinstance(document, dict):
        return {key: _unshared(value) for key, value in document.items()}
    return [_unshared(value) for value in document] if isinstance(document, list) else document
