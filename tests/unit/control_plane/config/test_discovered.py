"""The models that upstreams list count as files of a configuration, and come back with it."""

from pathlib import Path

from control_plane.checked import Checker
from control_plane.config.discovered import (
    DiscoveredModel,
    Found,
    discovered_in,
    models_file,
    recorded_models,
    with_discovered,
)  # fmt: skip
from control_plane.config.load import Loaded, load_inputs
from control_plane.reader import Reader
from tests.support.compiled import written
from tests.support.models import compiled_models, found_models, model, with_models

CONTENT = with_models(discovery={"upstreams": ["local", "native"]})
FOUND: Found = {"local": found_models("a", "b", created=5, context=9, tag='{"size":1}', embeds=True)}


def loaded(found: Found) -> Loaded:
    return with_discovered(compiled_models(CONTENT).loaded, found)


def names(of: Found) -> dict[str, list[str]]:
    return {upstream: [item.name for item in models] for upstream, models in of.items()}


def test_models_are_what_they_were_when_they_come_back() -> None:
    held = loaded(FOUND)

    assert discovered_in(held.referenced, held.config) == FOUND
    assert recorded_models(held.inputs.referenced) == FOUND
    assert isinstance(FOUND["local"][0], DiscoveredModel)


def test_other_models_are_another_configuration_and_their_order_is_nothing() -> None:
    bare = compiled_models(CONTENT).loaded
    digests = [
        with_discovered(bare, found).inputs.digest
        for found in (FOUND, {"local": FOUND["local"][::-1]}, {"local": FOUND["local"][:1]}, {})
    ]

    assert digests[0] == digests[1]
    assert len(set(digests)) == 3


def test_an_upstream_that_says_nothing_keeps_what_it_had_and_one_that_lists_none_has_none() -> None:
    held = loaded(FOUND)

    again = with_discovered(held, {"native": found_models("c")})
    none = with_discovered(again, {"local": ()})

    assert names(discovered_in(again.referenced, again.config)) == {"local": ["a", "b"], "native": ["c"]}
    assert names(discovered_in(none.referenced, none.config)) == {"local": [], "native": ["c"]}


def test_models_of_upstreams_that_are_not_asked_are_no_part_of_it() -> None:
    held = loaded({"hosted": found_models("a")})

    assert models_file("hosted") not in held.referenced
    assert with_discovered(compiled_models(with_models(model())).loaded, FOUND).inputs.referenced == {}


def test_the_last_good_configuration_is_made_again_with_its_models(tmp_path: Path) -> None:
    """As far as nothing newer is known."""
    now: dict[str, tuple[DiscoveredModel, ...]] = dict(FOUND)
    reader = Reader(written(tmp_path, CONTENT), {}, Checker(), discovered=lambda: now)
    first = reader.read()
    now.clear()

    again = reader.of_inputs(first.loaded.inputs)
    now["local"] = found_models("new")
    newer = reader.of_inputs(first.loaded.inputs)

    assert again.gateway == first.gateway
    assert [item.name for item in newer.gateway.llm.listed] == ["new"]  # type: ignore[union-attr] - it has models
    assert load_inputs(first.loaded.inputs).referenced == {}


def test_what_is_found_later_is_the_same_configuration_with_other_models(tmp_path: Path) -> None:
    now: dict[str, tuple[DiscoveredModel, ...]] = {}
    reader = Reader(written(tmp_path, CONTENT), {}, Checker(), discovered=lambda: now)
    first = reader.read()
    same = reader.with_current(first)
    now.update(FOUND)
    after = reader.with_current(first)

    assert same is first
    assert [item.name for item in after.gateway.llm.listed] == ["a", "b"]  # type: ignore[union-attr] - it has models
