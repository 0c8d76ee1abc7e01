import pytest

from control_plane.config.errors import ConfigError, InvalidConfig, Location, did_you_mean, dotted


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        pytest.param((), "", id="root"),
        pytest.param(("admin",), "admin", id="key"),
        pytest.param(("routes", 0, "match", "hosts", 2), "routes[0].match.hosts[2]", id="indexes"),
    ],
)
def test_paths_are_written_as_people_write_them(path, expected):
    assert dotted(path) == expected


@pytest.mark.parametrize(
    ("word", "known", "expected"),
    [
        pytest.param("rotues", ("routes", "plans"), "did you mean 'routes'?", id="near"),
        pytest.param("get", ("GET", "POST"), "did you mean 'GET'?", id="another case"),
        pytest.param("zebra", ("b", "a"), "known: a, b", id="far"),
        pytest.param("zebra", (), None, id="nothing known"),
    ],
)
def test_suggestions(word, known, expected):
    assert did_you_mean(word, known) == expected


def test_mistakes_are_sorted_by_place_and_said_once():
    late = ConfigError(Location("c.yaml", 10, 2), ("b",), "late", "cure it")
    early = ConfigError(Location("c.yaml", 9, 30), ("a",), "early")
    again = ConfigError(Location("c.yaml", 9, 30), ("alias", "a"), "early")

    error = InvalidConfig([late, early, again])

    assert error.errors == (early, late)
    assert str(error) == "c.yaml:9:30: early (a)\nc.yaml:10:2: late (b); cure it"
