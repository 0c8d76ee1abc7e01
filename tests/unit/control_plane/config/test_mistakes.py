"""What the admin reads about each mistake: place, path, what is wrong, and the cure."""

from pathlib import Path
from typing import TypedDict

import pytest
import yaml

from control_plane.config.errors import InvalidConfig
from control_plane.config.load import read_configuration


class Case(TypedDict):
    case: str
    yaml: str
    errors: list[str]


CASES: list[Case] = yaml.safe_load(Path(__file__).with_name("mistakes.yaml").read_text())
BEFORE = "version: 1\nlisteners: {public: {address: 0.0.0.0:8800}}\n"
ENVIRON = {"SHORT": "5e3cr", "DIGITS": "1" * 17, "EMPTY": "", "TOKEN": "t0ken-t0ken-t0ken", "BAD": "no rate"}


def mistakes(text: str, environ: dict[str, str] = ENVIRON) -> list[str]:
    with pytest.raises(InvalidConfig) as caught:
        read_configuration(text.encode(), "c.yaml", environ)
    return [str(error).removeprefix("c.yaml:") for error in caught.value.errors]


@pytest.mark.parametrize("case", CASES, ids=[case["case"] for case in CASES])
def test_each_mistake_is_named_with_its_place_and_cure(case):
    assert mistakes(BEFORE + case["yaml"]) == case["errors"]


def test_every_mistake_comes_with_a_cure():
    for case in CASES:
        with pytest.raises(InvalidConfig) as caught:
            read_configuration((BEFORE + case["yaml"]).encode(), "c.yaml", ENVIRON)
        assert all(error.cure for error in caught.value.errors), case["case"]


def test_a_configuration_without_listeners_is_refused():
    assert mistakes("version: 1\nlisteners: {}\n") == [
        "2:1: there are no listeners (listeners); write at least one",
    ]


def test_the_version_is_asked_for():
    assert mistakes("listeners: {a: {address: 1.2.3.4:80}}") == [
        "1:1: the key 'version' is missing; add it: version of this language: 1",
    ]


def test_another_version_is_refused():
    assert mistakes("version: 2\nlisteners: {a: {address: 1.2.3.4:80}}") == [
        "1:10: expected 1, found '2' (version); write 1",
    ]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("identity: {bearer_tokens: [{name: a, token: '${SECRET}'}]}", id="bearer token"),
        pytest.param("identity: {bearer_tokens: [{name: a, token: [hunter2-hunter2]}]}", id="list of tokens"),
        pytest.param("identity: {bearer_tokens: [{name: a, tokn: hunter2-hunter2}]}", id="misspelt key"),
        pytest.param("admin: {token: hunter2}", id="admin token"),
        pytest.param("consumers: [{name: '${SECRET}'}]", id="variable as a name"),
        pytest.param("upstreams: {a: {url: '${SECRET}'}}", id="variable as a URL"),
        pytest.param("routes: [{match: {path: '/${SECRET}'}}]", id="variable in a path"),
        pytest.param("routes: [{match: {path: /, methods: '${SECRET}'}}]", id="variable for a list"),
        pytest.param("routes: [{match: {path: /, methods: ['${SECRET}']}}]", id="variable for a choice"),
        pytest.param("routes: [{match: {path: /, hosts: ['${SECRET}']}}]", id="variable as a host"),
        pytest.param("routes: [{require: {scopes: ['${WORD}', '${WORD}']}}]", id="variable twice"),
        pytest.param("routes: [{auth: '${SECRET}'}]", id="variable as a word"),
        pytest.param("upstreams: {a: {url: 'http://me:hunter2@a'}}", id="password of a URL"),
    ],
)
def test_no_message_repeats_a_secret(text):
    found = mistakes(BEFORE + text, {"SECRET": "hunter2 ?", "WORD": "hunter2"})

    assert found
    assert not [message for message in found if "hunter2" in message]


def test_all_mistakes_are_reported_at_once_in_the_order_of_the_file():
    text = "version: 1\nrutes: []\nlisteners: {a: {address: nowhere}}\nplans: {p: {}}\nplans: {q: {x: ${Y}}}\n".replace(
        "${Y}", '"${Y}"'
    )

    places = [message.split(": ")[0] for message in mistakes(text)]

    assert places == ["2:1", "3:26", "5:1"]
