"""Nothing is collected while much is made; circles of garbage are found later all the same."""

import gc
from collections.abc import Iterator
from itertools import count
from weakref import ref

import pytest

from service_kit import collector
from service_kit.collector import MOST_TIMES_SET_ASIDE, without_collections


class Circle:
    """Refers to itself: only the collector can tell that nobody else does."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def thawed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(collector, "_times", count(1))
    yield
    gc.unfreeze()


def test_the_collector_rests_and_goes_on() -> None:
    with without_collections():
        assert not gc.isenabled()
    assert gc.isenabled()


def test_it_goes_on_after_a_failure() -> None:
    with pytest.raises(KeyError), without_collections():
        raise KeyError
    assert gc.isenabled()


def test_one_inside_another_changes_nothing() -> None:
    with without_collections():
        with without_collections():
            pass
        assert not gc.isenabled()


def test_what_was_made_is_set_aside() -> None:
    with without_collections():
        made = Circle()

    assert not any(found is made for found in gc.get_objects())


def test_garbage_that_was_set_aside_is_found_in_the_end() -> None:
    with without_collections():
        made = Circle()
    watched = ref(made)
    del made

    for _ in range(MOST_TIMES_SET_ASIDE):
        with without_collections():
            pass

    assert watched() is None
