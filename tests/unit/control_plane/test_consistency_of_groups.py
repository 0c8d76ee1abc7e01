"""A snapshot that keeps from a group what it needs, or gives it a secret that it does not need."""

from dataclasses import replace

import pytest

from control_plane.consistency import InconsistentSnapshot, checked
from control_plane.snapshot import Snapshot, snapshot
from control_plane.xds import names
from tests.support.certificates import Authority
from tests.support.compiled import config, snapshots

PAIR = dict(zip(("certificate", "private_key"), Authority().issue("gateway"), strict=True))
SECRET = "tollgate:listener:public:certificate"
EDGE, INSIDE = frozenset({"edge"}), frozenset({"inside"})


@pytest.fixture(scope="module")
def right() -> tuple[Snapshot, Snapshot]:
    public = {"address": "127.0.0.1:8443", "tls": PAIR, "groups": ["edge"]}
    plain = {"address": "127.0.0.1:8080", "https_redirect": 8443, "groups": ["edge"]}
    return snapshots(config(listeners={"public": public, "plain": plain, "all": {"address": "127.0.0.1:8800"}}))


def regrouped(source: Snapshot, type_url: str, name: str, groups: frozenset[str]) -> Snapshot:
    items = (item for named in source.resources.values() for item in named.values())
    return snapshot(
        replace(item, groups=groups) if (item.type_url, item.name) == (type_url, name) else item for item in items
    )


def test_what_is_compiled_is_right(right: tuple[Snapshot, Snapshot]) -> None:
    assert checked(*right) is right[0]


@pytest.mark.parametrize(
    ("type_url", "name", "groups", "fault"),
    [
        pytest.param(names.SECRET_TYPE, SECRET, INSIDE, "is kept from Envoys that need it", id="secret-of-others"),
        pytest.param(names.SECRET_TYPE, SECRET, frozenset(), "do not need it", id="secret-for-everybody"),
        pytest.param(names.SECRET_TYPE, SECRET, EDGE | INSIDE, "do not need it", id="secret-for-more"),
        pytest.param(names.LISTENER_TYPE, "public", frozenset(), "is kept from Envoys", id="listener-for-everybody"),
        pytest.param(names.LISTENER_TYPE, "public", EDGE | INSIDE, "is kept from Envoys", id="listener-for-more"),
        pytest.param(names.ROUTES_TYPE, names.ROUTES, EDGE, "is kept from Envoys", id="routes"),
        pytest.param(names.ROUTES_TYPE, names.https_redirect(8443), INSIDE, "is kept from Envoys", id="redirect"),
        pytest.param(names.CLUSTER_TYPE, names.AUTHZ_CLUSTER, EDGE, "is kept from groups", id="cluster"),
    ],
)
def test_groups_that_do_not_fit(
    right: tuple[Snapshot, Snapshot], type_url: str, name: str, groups: frozenset[str], fault: str
) -> None:
    with pytest.raises(InconsistentSnapshot, match=fault):
        checked(regrouped(right[0], type_url, name, groups), right[1])
