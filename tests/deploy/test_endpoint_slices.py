"""The component for upstreams with `kubernetes:`: what the control plane may read, and that nobody else may."""

from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from tests.support.manifests import loaded

KUBERNETES = Path(__file__).resolve().parents[2] / "deploy" / "kubernetes"
FOLDER = KUBERNETES / "endpoint-slices"
# Where the official client looks for it.
TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount"


def documents(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((FOLDER / name).read_text()))


def of_kind(kind: str) -> dict[str, Any]:
    return next(item for item in documents("access.yaml") if item["kind"] == kind)


@pytest.mark.parametrize("version", ["1.27", "1.31", "1.37"])
def test_what_is_applied_fits_the_schema(version):
    for document in documents("access.yaml"):
        kubernetes_validate.validate(document, version, strict=True)


def test_every_file_is_named():
    (component,) = documents("kustomization.yaml")

    named = {*component["resources"], *(item["path"] for item in component["patches"]), "kustomization.yaml"}
    assert {path.name for path in FOLDER.iterdir()} == named


def test_slices_may_be_followed_and_nothing_else():
    assert of_kind("ClusterRole")["rules"] == [
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["get", "list", "watch"]}
    ]


def test_the_role_is_bound_to_the_account_of_the_pods():
    (account,) = loaded(KUBERNETES).of("ServiceAccount")
    binding = of_kind("ClusterRoleBinding")

    named = account["metadata"]
    assert binding["roleRef"]["name"] == of_kind("ClusterRole")["metadata"]["name"]
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": named["name"], "namespace": named["namespace"]}]


def test_only_the_control_plane_gets_the_token():
    (patch,) = documents("api-token.yaml")
    deployment = next(item for item in loaded(KUBERNETES).of("Deployment") if item["metadata"]["name"] == "tollgate")

    assert patch["metadata"] == {key: deployment["metadata"][key] for key in ("name", "namespace")}
    (container,) = patch["spec"]["template"]["spec"]["containers"]
    (mount,) = container["volumeMounts"]
    (volume,) = patch["spec"]["template"]["spec"]["volumes"]
    pod = deployment["spec"]["template"]["spec"]
    assert container["name"] in {item["name"] for item in pod["containers"]}
    assert (mount["mountPath"], mount["name"]) == (TOKEN, volume["name"])
    assert volume["name"] not in {item["name"] for item in pod["volumes"]}
    assert not pod["automountServiceAccountToken"]
