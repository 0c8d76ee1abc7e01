import pytest

from control_plane.discovery.described import discovered_model
from control_plane.discovery.listing import MOST_MODELS, Listing, listing, read, written
from llm_providers.models import Listed, Model


def names(found: Listing) -> list[str]:
    return [model.name for model in found.models]


def test_models_stand_once_and_by_name():
    assert names(listing(Listed((Model("b"), Model("a"), Model("b", owner="another"))))) == ["a", "b"]


def test_names_that_no_client_could_write_are_left_out_and_told():
    found = listing(Listed((Model("fine"), Model("a b"), Model("x" * 200), Model("-"))))

    assert names(found) == ["fine"]
    assert found.left_out == "3 have names that are none"


def test_entries_that_are_no_models_are_told():
    found = listing(Listed((Model("fine"), Model("a b")), unreadable=2))

    assert names(found) == ["fine"]
    assert found.left_out == "2 have no name, or details that are none and 1 have names that are none"


def test_more_models_than_are_taken_are_left_out_and_told():
    found = listing(Listed(tuple(Model(f"m{number:05}") for number in range(MOST_MODELS + 432))))

    assert len(found.models) == MOST_MODELS
    assert found.left_out == "432 are more than the 1000 that are taken"


def test_what_was_written_is_read_as_it_was():
    found = Listing((Model("a", digest="d", capabilities=("completion",)), Model("b")), "1 left", frozenset({"a"}))

    assert read(written(found)) == found


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"models": [{"name": 1}]}', '{"models": 3}'])
def test_what_is_no_list_is_refused(text: str):
    with pytest.raises(ValueError, match="validation error"):
        read(text)


@pytest.mark.parametrize(
    ("capabilities", "embeds"),
    [
        pytest.param((), None, id="nobody-said"),
        pytest.param(("completion", "tools"), False, id="it-speaks"),
        pytest.param(("embedding",), True, id="it-embeds"),
        pytest.param(("completion", "embedding"), False, id="both"),
    ],
)
def test_what_a_model_is_for(capabilities: tuple[str, ...], embeds: bool | None):
    assert discovered_model(Model("a", capabilities=capabilities)).embeds is embeds
