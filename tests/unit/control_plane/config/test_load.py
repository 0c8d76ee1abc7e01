import os
from pathlib import Path

import pytest

from control_plane.config.errors import InvalidConfig, Problem
from control_plane.config.load import LARGEST_CONFIGURATION, LARGEST_REFERENCED_FILE, load
from control_plane.config.model import FileKeys, SecretKeys
from control_plane.config.values import RateValue, UpstreamAddress
from service_kit.endpoint import TcpEndpoint

EXAMPLE = Path(__file__).with_name("example.yaml")
ENVIRON = {"JWT_SECRET": "s" * 32, "GATEWAY_BEARER_TOKEN": "b" * 16}
ISSUER = """version: 1
listeners: {public: {address: 0.0.0.0:8800}}
identity:
  jwt:
    - {name: a, issuer: a, audiences: [g], algorithms: [ES256], keys: {file: FILE}}
"""


def errors(path: Path) -> list[str]:
    with pytest.raises(InvalidConfig) as caught:
        load(path, {})
    return [str(error).replace(f"{path.parent}/", "") for error in caught.value.errors]


def with_keys(directory: Path, file: str) -> Path:
    config = directory / "c.yaml"
    config.write_text(ISSUER.replace("FILE", file))
    return config


def test_the_example_means_what_it_says():
    config = load(EXAMPLE, ENVIRON).config

    email, login = config.routes
    accounts, local = config.identity.jwt
    assert config.listeners["public"].address == TcpEndpoint("0.0.0.0", 8800)
    assert tuple(map(str, config.upstreams["email"].endpoints)) == ("http://email-1:8080", "http://email_2:8080")
    assert config.upstreams["accounts"].url == UpstreamAddress("accounts", 8080, tls=False, path="")
    assert config.plans["free"].limits[1].requests == RateValue(1000, 3600)
    assert config.plans["free"].limits[1].per == ("tenant", "ip")
    assert (email.timeout, email.body_limit, email.websocket) == (15.0, 16 * 2**20, True)
    assert (config.defaults.auth, email.auth, login.auth) == (("jwt", "bearer"), ("jwt",), "none")
    assert isinstance(accounts.keys, FileKeys)
    assert isinstance(local.keys, SecretKeys)
    assert local.keys.secret.get_secret_value() == "s" * 32


def test_secrets_do_not_show_in_the_representation():
    shown = repr(load(EXAMPLE, ENVIRON).config)

    assert ENVIRON["JWT_SECRET"] not in shown
    assert ENVIRON["GATEWAY_BEARER_TOKEN"] not in shown


def test_later_stages_report_problems_at_their_place():
    marks = load(EXAMPLE, ENVIRON).marks

    error = marks.located(Problem(("routes", 0, "upstream"), "there is no upstream 'email'", "declare it"))

    line = next(n for n, text in enumerate(EXAMPLE.read_text().splitlines(), 1) if "upstream: email" in text)
    assert str(error) == f"{EXAMPLE}:{line}:15: there is no upstream 'email' (routes[0].upstream); declare it"


def test_files_are_found_from_the_directory_of_the_configuration(tmp_path):
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "a.json").write_bytes(b'{"keys": []}')
    config = with_keys(tmp_path, "keys/a.json")

    loaded = load(config, {})

    assert loaded.referenced == {"keys/a.json": b'{"keys": []}'}
    assert set(loaded.files) == {config, tmp_path / "keys" / "a.json"}


def test_an_absolute_path_is_taken_as_it_is(tmp_path):
    keys = tmp_path / "a.json"
    keys.write_bytes(b"{}")
    (tmp_path / "etc").mkdir()

    assert load(with_keys(tmp_path / "etc", str(keys)), {}).referenced == {str(keys): b"{}"}


def test_a_missing_file_is_a_mistake_at_its_key_and_stays_known(tmp_path):
    config = with_keys(tmp_path, "a.json")

    with pytest.raises(InvalidConfig) as caught:
        load(config, {})

    assert errors(config) == [
        "c.yaml:5:78: a.json: there is no such file (identity.jwt[0].keys.file); check the path",
    ]
    assert set(caught.value.files) == {config, tmp_path / "a.json"}


def test_a_file_that_is_too_large(tmp_path):
    (tmp_path / "a.json").write_bytes(b" " * (LARGEST_REFERENCED_FILE + 1))

    assert errors(with_keys(tmp_path, "a.json")) == [
        "c.yaml:5:78: a.json: is larger than 1 MiB (identity.jwt[0].keys.file); check that it is the right file",
    ]


def test_a_pipe_in_place_of_a_file_blocks_nobody(tmp_path):
    os.mkfifo(tmp_path / "pipe")

    assert errors(with_keys(tmp_path, "pipe")) == [
        "c.yaml:5:78: pipe: is no regular file (identity.jwt[0].keys.file); name a regular file",
    ]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param("nope.yaml", "nope.yaml:1:1: there is no such file; check the path", id="missing"),
        pytest.param(
            "directory",
            "directory:1:1: the directory holds no configuration; write a file *.yaml or *.yml into it",
            id="directory",
        ),
        pytest.param("large", "large:1:1: is larger than 16 MiB; check that it is the right file", id="too large"),
        pytest.param("empty", "empty:1:1: the file is empty; begin with `version: 1`", id="empty"),
        pytest.param(
            "loop",
            "loop:1:1: cannot be read: Too many levels of symbolic links; check the path and its permissions",
            id="symbolic link to itself",
        ),
    ],
)
def test_a_configuration_that_cannot_be_read(tmp_path, name, expected):
    (tmp_path / "directory").mkdir()
    (tmp_path / "empty").touch()
    (tmp_path / "loop").symlink_to("loop")
    with (tmp_path / "large").open("wb") as large:
        large.truncate(LARGEST_CONFIGURATION + 1)

    assert errors(tmp_path / name) == [expected]
