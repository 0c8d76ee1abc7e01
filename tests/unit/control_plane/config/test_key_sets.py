from pathlib import Path
from typing import Any

import pytest

from control_plane.config.inputs import Inputs
from control_plane.config.key_sets import key_set_name, key_sets_of, key_sources, recorded_key_sets, with_key_sets
from control_plane.config.load import Loaded, load, load_inputs
from tests.support.authz import jwks, rsa_jwk
from tests.support.compiled import config, written

ISSUER = "https://a.example.com/b"
URL = "https://keys.example.com/jwks?policy=x"
NAME = key_set_name(ISSUER, URL)
SET = jwks(rsa_jwk()).encode()


def loaded(folder: Path, **keys: Any) -> Loaded:
    accounts = {"name": "a", "issuer": ISSUER, "audiences": ["g"], "algorithms": ["RS256"], **keys}
    return load(written(folder, config(identity={"jwt": [accounts]}, routes=[])), {})


@pytest.mark.parametrize(
    ("keys", "found"),
    [
        pytest.param({}, (None, 300.0, False), id="discovery"),
        pytest.param({"keys": {"discovery": {}}}, (None, 300.0, False), id="discovery-as-it-is"),
        pytest.param(
            {"keys": {"discovery": {"refresh": "1h", "private_addresses": "allow"}}},
            (None, 3600.0, True),
            id="settings",
        ),
        pytest.param({"keys": {"url": URL}}, (URL, 300.0, False), id="url"),
        pytest.param(
            {"keys": {"url": URL, "refresh": "30s", "private_addresses": "allow"}}, (URL, 30.0, True), id="url-and-all"
        ),
    ],
)
def test_where_keys_are_fetched(tmp_path: Path, keys: dict[str, Any], found: tuple[Any, ...]):
    (source,) = key_sources(loaded(tmp_path, **keys).config)

    assert (source.url, source.refresh, source.private) == found
    assert (source.issuer, source.algorithms) == (ISSUER, ("RS256",))


def test_keys_of_a_file_are_not_fetched(tmp_path: Path):
    (tmp_path / "keys.json").write_bytes(SET)

    assert key_sources(loaded(tmp_path, keys={"file": "keys.json"}).config) == ()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param(("https://a//b", URL), ("https://a/b", URL), id="issuers"),
        pytest.param((ISSUER, URL), (ISSUER, None), id="discovery"),
        pytest.param((ISSUER, URL), (ISSUER, URL + "/"), id="urls"),
        pytest.param(("a at b", None), ("a", "b"), id="words"),
    ],
)
def test_no_two_places_have_one_name(one: tuple[str, str | None], other: tuple[str, str | None]):
    names = {Path(key_set_name(*place)).name for place in (one, other)}

    assert len(names) == 2


def test_a_set_is_part_of_what_a_configuration_was_made_of(tmp_path: Path):
    before = loaded(tmp_path, keys={"url": URL})
    after = with_key_sets(before, {NAME: SET, "another": b"{}"})

    assert key_sets_of(after) == {NAME: SET}
    assert after.inputs.digest != before.inputs.digest == with_key_sets(before, {}).inputs.digest
    assert after.inputs.source_digest == before.inputs.source_digest
    assert recorded_key_sets(after.inputs.referenced) == {NAME: SET}


def test_without_another_one_a_set_stays(tmp_path: Path):
    held = with_key_sets(loaded(tmp_path, keys={"url": URL}), {NAME: SET})

    assert with_key_sets(held, {}) == held


def test_a_set_that_is_not_wanted_any_more_goes(tmp_path: Path):
    held = with_key_sets(loaded(tmp_path, keys={"url": URL}), {NAME: SET})
    moved = loaded(tmp_path, keys={"url": URL + "2"})

    assert key_sets_of(with_key_sets(moved, key_sets_of(held))) == {}


def test_a_set_can_be_made_again_from_what_was_recorded(tmp_path: Path):
    held = with_key_sets(loaded(tmp_path, keys={"url": URL}), {NAME: SET})
    inputs = Inputs(held.inputs.path, held.inputs.texts, held.inputs.referenced, held.inputs.variables)
    again = with_key_sets(load_inputs(inputs), recorded_key_sets(inputs.referenced))

    assert again.referenced == held.referenced
    assert again.inputs.digest == held.inputs.digest
