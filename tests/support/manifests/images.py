"""Images: a fixed version each, which the kustomization can put somewhere else."""

from collections.abc import Iterator
from pathlib import Path

from tests.support.manifests.documents import Check, Manifests, containers


def tags(manifests: Manifests, _folder: Path) -> Iterator[str]:
    known = {image["name"]: image["newTag"] for image in manifests.kustomization["images"]}
    for where, _pod, container in containers(manifests):
        name, _, tag = container["image"].rpartition("/")[2].partition(":")
        if tag in ("", "latest") and "@sha256:" not in container["image"]:
            yield f"{where}: {container['image']} names no version"
        elif known.get(name) != tag:
            yield f"{where}: the kustomization does not name {container['image']}"


CHECKS: tuple[Check, ...] = (tags,)
