"""Versions are the content's: equal for equal resources, different for whatever differs."""

import pytest

from control_plane.snapshot import EMPTY, Snapshot, resource, snapshot

TYPE, OTHER = "type.googleapis.com/a", "type.googleapis.com/b"


def world(**bodies: bytes) -> Snapshot:
    return snapshot(resource(TYPE, name, body) for name, body in bodies.items())


def test_the_order_of_resources_does_not_matter() -> None:
    assert world(a=b"1", b=b"2").version(TYPE) == world(b=b"2", a=b"1").version(TYPE)


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(world(a=b"1"), id="one-gone"),
        pytest.param(world(a=b"1", b=b"3"), id="other-content"),
        pytest.param(world(a=b"2", b=b"1"), id="contents-exchanged"),
        pytest.param(world(a=b"1", c=b"2"), id="other-name"),
        pytest.param(world(a=b"1", b=b"2", c=b""), id="one-more"),
    ],
)
def test_whatever_differs_is_another_version(other: Snapshot) -> None:
    assert world(a=b"1", b=b"2").version(TYPE) != other.version(TYPE)


def test_a_change_of_one_type_leaves_the_version_of_another() -> None:
    before = snapshot([resource(TYPE, "a", b"1"), resource(OTHER, "a", b"1")])
    after = snapshot([resource(TYPE, "a", b"2"), resource(OTHER, "a", b"1")])

    assert before.version(OTHER) == after.version(OTHER)
    assert before.version(TYPE) != after.version(TYPE)


def test_a_type_that_is_not_there_is_empty_and_has_a_version() -> None:
    assert EMPTY.of(TYPE) == {}
    assert EMPTY.version(TYPE) == world(a=b"1").version(OTHER) != world(a=b"1").version(TYPE)


def test_a_name_occurs_once_a_type() -> None:
    with pytest.raises(ValueError, match=r"a 'x' occurs twice"):
        snapshot([resource(TYPE, "x", b"1"), resource(TYPE, "x", b"1")])


def test_a_body_is_not_shown() -> None:
    assert "secret" not in repr(world(a=b"secret"))


def test_a_group_sees_what_is_its_own_and_what_is_nobodys() -> None:
    kept = snapshot(
        [resource(TYPE, "all", b"1"), resource(TYPE, "edge", b"1", frozenset({"edge"})), resource(OTHER, "all", b"1")]
    )
    seen = {group: sorted(kept.visible_to(group).of(TYPE)) for group in ("edge", "", "unknown")}

    assert seen == {"edge": ["all", "edge"], "": ["all"], "unknown": ["all"]}
    assert kept.visible_to("edge") is kept.visible_to("edge")
    assert kept.visible_to("edge").of(OTHER) is kept.of(OTHER), "a type that is kept from nobody is the same object"


def test_what_is_kept_from_nobody_is_seen_as_it_is() -> None:
    assert (held := world(a=b"1")).visible_to("edge") is held


def test_a_type_that_did_not_change_keeps_its_mapping() -> None:
    before = snapshot([resource(TYPE, "a", b"1"), resource(OTHER, "a", b"1")])
    after = snapshot([resource(TYPE, "a", b"2"), resource(OTHER, "a", b"1")]).sharing(before)

    assert after.of(OTHER) is before.of(OTHER)
    assert after.of(TYPE)["a"].body == b"2"


def test_another_lifetime_is_another_version() -> None:
    versions = {resource(TYPE, "a", b"1", ttl=ttl).version for ttl in (None, 1.0, 2.0)}

    assert len(versions) == 3
