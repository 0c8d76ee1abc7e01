"""What is served while a release is under way: both the old and the new."""

from control_plane.publication.publisher import union, with_referred
from control_plane.snapshot import EMPTY, Snapshot, resource, snapshot
from control_plane.xds.names import CLUSTER_TYPE, ROUTES_TYPE, SECRET_TYPE


def world(*items: tuple[str, str, bytes]) -> Snapshot:
    return snapshot(resource(*item) for item in items)


def contents(held: Snapshot) -> dict[str, dict[str, bytes]]:
    return {type_url: {name: item.body for name, item in named.items()} for type_url, named in held.resources.items()}


def test_a_union_has_every_name_and_the_new_content_of_those_in_both() -> None:
    old = world((CLUSTER_TYPE, "a", b"old"), (CLUSTER_TYPE, "b", b"old"))
    new = world((CLUSTER_TYPE, "b", b"new"), (ROUTES_TYPE, "r", b"new"))

    assert contents(union(old, new)) == {CLUSTER_TYPE: {"a": b"old", "b": b"new"}, ROUTES_TYPE: {"r": b"new"}}


def test_only_what_others_refer_to_is_kept_of_the_old() -> None:
    old = world((CLUSTER_TYPE, "a", b"old"), (SECRET_TYPE, "s", b"old"), (ROUTES_TYPE, "r", b"old"))

    assert contents(with_referred(EMPTY, old)) == {CLUSTER_TYPE: {"a": b"old"}, SECRET_TYPE: {"s": b"old"}}


def test_a_union_with_nothing_is_the_same_content() -> None:
    new = world((CLUSTER_TYPE, "a", b"1"))

    assert contents(union(EMPTY, new)) == contents(union(new, EMPTY)) == contents(new)
    assert union(EMPTY, new).version(CLUSTER_TYPE) == new.version(CLUSTER_TYPE)
