"""What is validated apart from the rest, and when its model is that of an earlier configuration."""

from pathlib import Path

import pytest

from control_plane.config.elements import is_element
from control_plane.config.errors import InvalidConfig
from control_plane.config.errors import Path as KeyPath
from control_plane.config.load import Known, Loaded, load

BEGINNING = "version: 1\nlisteners: {public: {address: 127.0.0.1:8800}}\nroutes:\n"
ROUTE = '- {name: a, match: {path: /a}, upstream: "${TO}", auth: none}\n'
OTHER = "- {name: b, match: {path: /b}, upstream: u, auth: none}\n"
ENVIRON = {"TO": "u"}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ((), False),
        (("routes",), False),
        (("routes", 3), True),
        (("routes", 3, "match"), False),
        (("upstreams", "email"), True),
        (("plans", "free"), True),
        (("consumers", 0), True),
        (("identity",), True),
        (("identity", "jwt"), False),
        (("version",), False),
        (("unknown",), False),
        ((0,), False),
    ],
)
def test_elements_are_things_with_names_and_sections_without(path: KeyPath, expected: bool) -> None:
    assert is_element(path) is expected


def loaded(folder: Path, text: str, known: Known, **environ: str) -> Loaded:
    file = folder / "gateway.yaml"
    file.write_text(BEGINNING + text)
    return load(file, {**ENVIRON, **environ}, known)


@pytest.mark.parametrize(
    ("text", "environ", "same"),
    [
        pytest.param(ROUTE + OTHER, {}, True, id="the same"),
        pytest.param(OTHER + ROUTE, {}, True, id="elsewhere"),
        pytest.param("# longer\n" + ROUTE, {}, True, id="in another line"),
        pytest.param(ROUTE.replace("${TO}", "u"), {}, True, id="the value of the variable, written out"),
        pytest.param(ROUTE, {"TO": "v"}, False, id="another value of the variable"),
        pytest.param(ROUTE.replace("/a", "/c"), {}, False, id="another route"),
    ],
)
def test_equal_data_has_the_same_model(tmp_path: Path, text: str, environ: dict[str, str], same: bool) -> None:
    known = Known()
    before = next(item for item in loaded(tmp_path, ROUTE + OTHER, known).config.routes if item.name == "a")

    after = next(item for item in loaded(tmp_path, text, known, **environ).config.routes if item.name == "a")

    assert (after is before) is same


def test_a_mistake_is_told_each_time_and_beside_it_nothing_is_lost(tmp_path: Path) -> None:
    known = Known()
    before = loaded(tmp_path, ROUTE + OTHER, known).config

    for _ in range(3):
        with pytest.raises(InvalidConfig, match=r"gateway.yaml:4:\d+: unknown key 'x'"):
            loaded(tmp_path, ROUTE.replace("}\n", ", x: 1}\n") + OTHER, known)

    assert loaded(tmp_path, ROUTE + OTHER, known).config.routes[0] is before.routes[0]
