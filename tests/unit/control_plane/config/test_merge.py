"""A directory of files is one configuration; what stands twice is a mistake that names both places."""

from pathlib import Path

import pytest

from control_plane.config.errors import InvalidConfig
from control_plane.config.files import LARGEST_CONFIGURATION
from control_plane.config.load import Loaded, load

BASE = "version: 1\nlisteners: {public: {address: 127.0.0.1:8800}}\nupstreams: {app: {url: http://127.0.0.1:1}}\n"
ROUTE = "routes: [{{name: {0}, match: {{path: /{0}}}, upstream: app, auth: none}}]\n"


def loaded(folder: Path, **files: str) -> Loaded:
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text)
    return load(folder, {"VERSION": "1"})


def mistakes(folder: Path, **files: str) -> list[str]:
    with pytest.raises(InvalidConfig) as caught:
        loaded(folder, **files)
    return [str(error).replace(f"{folder}/", "").replace(str(folder), "DIR") for error in caught.value.errors]


def test_lists_of_things_are_put_together_and_sections_are_merged(tmp_path):
    config = loaded(
        tmp_path,
        a=BASE + ROUTE.format("one") + "admin: {address: 127.0.0.1:9901}\n",
        b=ROUTE.format("two") + "admin: {token: a-token-of-sixteen-bytes}\nplans: {free: {}}\n",
        c="plans: {pro: {}}\nversion: 1\n",
    ).config

    assert [route.name for route in config.routes] == ["one", "two"]
    assert (config.admin.address.port, config.admin.token.get_secret_value()) == (9901, "a-token-of-sixteen-bytes")
    assert set(config.plans) == {"free", "pro"}


def test_mistakes_and_problems_of_meaning_name_the_file_they_stand_in(tmp_path):
    found = loaded(tmp_path, a=BASE + ROUTE.format("one"), b="# two\n" + ROUTE.format("two"))

    assert str(found.marks.at(("routes", 1, "name"))) == f"{tmp_path}/b.yaml:2:17"
    assert str(found.marks.at(("routes", 0))) == f"{tmp_path}/a.yaml:4:10"


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        pytest.param(
            "plans: {a: {}}", "plans:\n  a: {}",
            "b.yaml:2:3: the name 'a' stands twice, first at a.yaml:4:9 (plans.a); keep one", id="name",
        ),
        pytest.param(
            "plans: {a: {limits: [{requests: 1/day}]}}", "plans: {a: {limits: [{requests: 2/day}]}}",
            "b.yaml:1:9: the name 'a' stands twice, first at a.yaml:4:9 (plans.a); keep one", id="parts-of-one-thing",
        ),
        pytest.param(
            "consumers: [{name: a}]", "consumers: [{name: b}, {name: a}]",
            "b.yaml:1:31: the name 'a' stands twice, first at a.yaml:4:20 (consumers[2].name); rename one",
            id="name-of-an-entry",
        ),
        pytest.param(
            "consumers: []", "consumers: [{name: a}, {name: a}]",
            "b.yaml:1:31: the name 'a' stands twice, first at b.yaml:1:20 (consumers[1].name); rename one",
            id="name-of-an-entry-in-one-file",
        ),
        pytest.param(
            "defaults: {plan: a}", "defaults: {plan: a}",
            "b.yaml:1:12: the key 'plan' stands twice, first at a.yaml:4:12 (defaults.plan); keep one", id="scalar",
        ),
        pytest.param(
            "defaults: {auth: [bearer]}", "defaults: {auth: [jwt]}",
            "b.yaml:1:12: the key 'auth' stands twice, first at a.yaml:4:12 (defaults.auth); keep one",
            id="a-list-of-words-is-one-value",
        ),
        pytest.param(
            "routes: []", "routes: {}",
            "b.yaml:1:1: the key 'routes' stands twice, first at a.yaml:4:1 (routes); keep one", id="another-shape",
        ),
        pytest.param(
            "", "version: 2",
            "b.yaml:1:10: the version is another one than at a.yaml:1:10 (version); "
            "write the same in each file, or in one alone",
            id="another-version",
        ),
        pytest.param(
            "", "- routes",
            "b.yaml:1:1: expected keys with values; write `routes:` or another key of the language", id="a-list",
        ),
    ],
)  # fmt: skip
def test_what_is_defined_twice(tmp_path, first, second, expected):
    assert mistakes(tmp_path, a=BASE + first + "\n", b=second + "\n") == [expected]


def test_all_places_of_one_name_are_reported(tmp_path):
    (first, second) = mistakes(tmp_path, a=BASE, b="upstreams: {app: {url: http://h}}", c="upstreams: {app: {}}")

    assert "b.yaml:1:13" in first
    assert "c.yaml:1:13" in second


def test_a_file_may_hold_comments_alone(tmp_path):
    assert loaded(tmp_path, a=BASE, b="\n# later\n   # more\n\n").config.version == 1


@pytest.mark.parametrize("nothing", ["", "\n\n", "---\n"])
def test_a_file_without_anything_is_one_half_written(tmp_path, nothing):
    (mistake,) = mistakes(tmp_path, a=BASE, b=nothing)

    assert mistake.startswith("b.yaml:")


def test_the_version_stands_in_one_file_at_least(tmp_path):
    assert mistakes(tmp_path, a=BASE.removeprefix("version: 1\n"), b=ROUTE.format("a")) == [
        "DIR:1:1: the key 'version' is missing; add it: version of this language: 1"
    ]


def test_only_yaml_files_of_the_directory_itself_are_read(tmp_path):
    for name in (".hidden.yaml", ".#a.yaml", "a.yaml~", "a.yaml.bak", "#a.yaml#", "~a.yaml", "b.json", ".a.yaml.swp"):
        (tmp_path / name).write_text("- no configuration")
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "c.yaml").write_text("- no configuration")
    (tmp_path / "other.yml").write_text("plans: {free: {}}")

    found = loaded(tmp_path, a=BASE)

    assert set(found.files) == {tmp_path / "a.yaml", tmp_path / "other.yml"}
    assert set(found.config.plans) == {"free"}


def test_every_file_that_cannot_be_read_is_a_mistake_of_its_own(tmp_path):
    (tmp_path / "c.yaml").mkdir()
    (tmp_path / "d.yaml").symlink_to("gone")

    found = mistakes(tmp_path, a=BASE + "x: &a", b="routes: [\n", e="version: 1\nversion: 1\n")

    assert [mistake.partition(": ")[0] for mistake in found] == ["b.yaml:2:1", "c.yaml:1:1", "d.yaml:1:1", "e.yaml:2:1"]


def test_the_files_together_are_no_larger_than_one_may_be(tmp_path):
    comment = "# " + "x" * (LARGEST_CONFIGURATION // 2)

    assert mistakes(tmp_path, a=BASE + comment, b=comment) == [
        "b.yaml:1:1: the files of the directory are larger than 16 MiB in all; check that they are the right files"
    ]


def test_aliases_of_all_files_are_counted_together(tmp_path):
    many = "a: &a [" + "x," * 1000 + "]\nb: [" + "*a," * 60 + "]\n"

    assert mistakes(tmp_path, a=many, b=many) == [
        "DIR:1:1: aliases stand for more than 100000 values in these files; write them out"
    ]
