"""A mapping that is made anew in the time that a change takes: it holds what a plain dictionary would."""

import gc
import weakref
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.evolving import Evolving
from control_plane.server.difference import difference
from control_plane.snapshot import Resource, Snapshot, resource

TYPE = "type.googleapis.com/a.B"


def item(name: str, body: str = "") -> Resource:
    return resource(TYPE, name, body.encode())


def named(**bodies: str) -> dict[str, Resource]:
    return {name: item(name, body) for name, body in bodies.items()}


NAMES = st.sampled_from("abcdef")
STEPS = st.lists(st.tuples(st.dictionaries(NAMES, st.sampled_from("xyz")), st.frozensets(NAMES)), max_size=8)


@given(STEPS)
def test_every_one_of_them_holds_what_it_held(steps: list[tuple[dict[str, str], frozenset[str]]]) -> None:
    current, model = Evolving.of({}), {}
    held: list[tuple[Evolving[Resource], dict[str, Resource]]] = [(current, model)]
    for bodies, removed in steps:
        changed = named(**bodies)
        gone = removed - changed.keys()
        current = current.changed(changed, gone)
        model = {name: found for name, found in {**model, **changed}.items() if name not in gone}
        held.append((current, model))

    for found, expected in held:
        assert dict(found) == expected
        assert (len(found), sorted(found)) == (len(expected), sorted(expected))
        assert all((name in found) == (name in expected) for name in "abcdef")
        assert found.version == Evolving.of(expected).version
    for at, (older, old) in enumerate(held):
        for newer, new in held[at:]:
            assert newer.follows(older)
            assert difference(older, newer) == difference(old, Evolving.of(new)) == difference(old, dict(new))
            assert older == newer or old != new
        for newer, _ in held[at + 1 :]:
            assert not older.follows(newer)


def test_a_change_of_one_that_was_superseded_begins_anew() -> None:
    first = Evolving.of(named(a="1"))
    second = first.changed(named(b="1"))
    other = first.changed(named(c="1"))

    assert [sorted(found) for found in (first, second, other)] == [["a"], ["a", "b"], ["a", "c"]]
    assert other.since(second) is None
    assert not other.follows(second)


def test_what_is_not_there_is_not_found() -> None:
    first = Evolving.of(named(a="1"))
    second = first.changed({}, ["a"])

    assert "a" in first
    assert (second.get("a"), first.get("b"), len(second)) == (None, None, 0)
    with pytest.raises(KeyError):
        second["a"]


def test_a_snapshot_has_the_version_of_its_mapping() -> None:
    found = Snapshot({TYPE: Evolving.of(named(a="1", b="2"))})

    assert found.version(TYPE) == Snapshot({TYPE: Evolving.of(named(b="2", a="1"))}).version(TYPE)
    assert found.version(TYPE) != Snapshot({TYPE: Evolving.of(named(a="1"))}).version(TYPE)
    assert found.visible_to("a-group") is found


@dataclass(frozen=True, eq=False)
class Thing:
    """One whose end can be seen."""

    name: str
    version: str = "1"


def test_who_forgets_one_forgets_what_was_different_in_it() -> None:
    thing = Thing("a")
    gone = weakref.ref(thing)
    first: Evolving[Thing] | None = Evolving.of({"a": thing})
    second = first.changed({}, ["a"])
    del thing
    assert gone() is not None

    first = None
    gc.collect()
    assert gone() is None
    assert len(second) == 0
