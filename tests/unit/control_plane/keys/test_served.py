"""What is told of rows that were read; the databases themselves are in tests/contract."""

from control_plane.keys.served import Changes, Served
from control_plane.snapshot import resource
from service_kit.contract import API_KEY_TYPE, CONSUMER_TYPE


def key(name, body=b"1"):
    return resource(API_KEY_TYPE, name, body)


def changes(revision, keys, *, whole=False, consumers=None, expiries=None):
    return Changes(revision, whole, consumers or {}, keys, expiries or {})


def told(served):
    return {name: item.body for name, item in served.snapshot.of(API_KEY_TYPE).items()}


def test_an_empty_store_is_told_too():
    served = Served()
    assert served.snapshot is None

    assert served.apply(changes(0, {}, whole=True))
    assert (told(served), served.revision) == ({}, 0)


def test_a_change_leaves_what_was_told_before_as_it_was():
    served = Served()
    served.apply(changes(1, {"a": key("a"), "b": key("b")}, whole=True))
    before = served.snapshot

    assert served.apply(changes(2, {"a": None, "c": key("c")}))

    assert told(served) == {"b": b"1", "c": b"1"}
    assert set(before.of(API_KEY_TYPE)) == {"a", "b"}
    assert served.snapshot.of(CONSUMER_TYPE) is before.of(CONSUMER_TYPE)
    assert served.snapshot.version(API_KEY_TYPE) != before.version(API_KEY_TYPE)


def test_what_changes_nothing_is_not_announced():
    served = Served()
    served.apply(changes(1, {"a": key("a")}, whole=True))
    before = served.snapshot

    assert not served.apply(changes(2, {"a": key("a"), "gone": None}))
    assert served.snapshot is before
    assert served.revision == 2


def test_all_there_is_replaces_all_there_was():
    served = Served()
    served.apply(changes(9, {"a": key("a"), "b": key("b")}, whole=True, expiries={"b": 50}))

    assert served.apply(changes(3, {"b": key("b"), "c": key("c")}, whole=True))

    assert told(served) == {"b": b"1", "c": b"1"}
    assert served.revision == 3
    assert not served.expire(100), "what b was has no say any more"


def test_keys_that_end_are_dropped_when_they_do():
    served = Served()
    served.apply(changes(1, {name: key(name) for name in "abc"}, whole=True, expiries={"a": 10, "b": 20}))

    assert not served.expire(9.9)
    assert served.expire(10)
    assert set(told(served)) == {"b", "c"}
    assert not served.expire(10)
    assert served.expire(1000)
    assert set(told(served)) == {"c"}


def test_the_last_word_on_an_end_counts():
    served = Served()
    served.apply(changes(1, {"a": key("a"), "b": key("b")}, whole=True, expiries={"a": 100, "b": 100}))
    served.apply(changes(2, {"a": key("a", b"2")}, expiries={"a": 10}))
    served.apply(changes(3, {"b": key("b", b"2")}))

    assert served.expire(10)
    assert set(told(served)) == {"b"}
    assert not served.expire(1000)
