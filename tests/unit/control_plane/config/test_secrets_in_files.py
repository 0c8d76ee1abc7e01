"""`file:PATH` where a secret is expected stands for the content of that file."""

import os
from pathlib import Path

import pytest

from control_plane.config.errors import InvalidConfig
from control_plane.config.files import LARGEST_REFERENCED_FILE
from control_plane.config.load import Loaded, load

TOKEN = "a-bearer-token-in-a-file"


def loaded(folder: Path, value: str, **environ: str) -> Loaded:
    file = folder / "c.yaml"
    file.write_text(
        "version: 1\nlisteners: {public: {address: 127.0.0.1:8800}}\n"
        f'identity: {{bearer_tokens: [{{name: ops, subject: "{value}", token: "{value}"}}]}}\n'
    )
    return load(file, environ)


def token(found: Loaded) -> str:
    return found.config.identity.bearer_tokens[0].token.get_secret_value()


def mistake(folder: Path, value: str) -> str:
    with pytest.raises(InvalidConfig) as caught:
        loaded(folder, value)
    (error,) = caught.value.errors
    assert folder / value.removeprefix("file:") in caught.value.files
    return str(error).removeprefix(f"{folder}/c.yaml:3:")


@pytest.mark.parametrize("content", [TOKEN, TOKEN + "\n", TOKEN + "\r\n", "\ufeff" + TOKEN], ids=repr)
def test_the_content_of_the_file_is_the_secret(tmp_path, content):
    (tmp_path / "token").write_text(content, newline="")

    found = loaded(tmp_path, "file:token")

    assert token(found) == TOKEN
    assert set(found.files) == {tmp_path / "c.yaml", tmp_path / "token"}
    assert TOKEN not in repr(found.config)


def test_where_no_secret_is_expected_it_is_text(tmp_path):
    (tmp_path / "token").write_text(TOKEN)

    assert loaded(tmp_path, "file:token").config.identity.bearer_tokens[0].subject == "file:token"


def test_a_path_is_found_from_the_file_that_names_it(tmp_path):
    (tmp_path / "etc").mkdir()
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "token").write_text(TOKEN)

    for value in ("file:../secrets/token", f"file:{tmp_path}/secrets/token", "file:../${DIR}/token"):
        assert token(loaded(tmp_path / "etc", value, DIR="secrets")) == TOKEN


def test_the_content_is_not_looked_through_for_variables(tmp_path):
    (tmp_path / "token").write_text("a-secret-with-${HOME}-in-it")

    with pytest.raises(InvalidConfig, match="characters that a bearer token cannot have"):
        loaded(tmp_path, "file:token", HOME="home")


def test_a_variable_makes_the_gateway_read_no_file(tmp_path):
    (tmp_path / "token").write_text(TOKEN)

    with pytest.raises(InvalidConfig, match="characters that a bearer token cannot have"):
        loaded(tmp_path, "${VALUE}", VALUE=f"file:{tmp_path}/token")


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        pytest.param("gone", None, "there is no such file", id="missing"),
        pytest.param("empty", b"", "is empty", id="empty"),
        pytest.param("blank", b" \n", "is empty", id="blank"),
        pytest.param("latin", b"caf\xe9-and-more-letters", "is not UTF-8 text", id="not-utf-8"),
        pytest.param("control", b"a-secret-with\x00a-zero", "the value holds control characters", id="control"),
        pytest.param("large", b"x" * (LARGEST_REFERENCED_FILE + 1), "is larger than 1 MiB", id="too-large"),
    ],
)
def test_a_file_that_cannot_be_used_is_a_mistake_at_the_value_without_the_content(tmp_path, name, content, expected):
    if content is not None:
        (tmp_path / name).write_bytes(content)

    found = mistake(tmp_path, f"file:{name}")

    assert found.partition(": ")[2].startswith(f"{name}: {expected}")
    assert "(identity.bearer_tokens[0].token); " in found
    assert "letters" not in found


def test_a_content_that_is_no_good_secret_is_not_shown(tmp_path):
    (tmp_path / "short").write_text("hunter2")

    found = mistake(tmp_path, "file:short")

    assert "the token is shorter than 16 bytes" in found
    assert "hunter2" not in found


def test_a_path_is_needed(tmp_path):
    with pytest.raises(InvalidConfig, match="there is no path after `file:`"):
        loaded(tmp_path, "file:")


@pytest.mark.parametrize("kind", ["pipe", "directory", "loop"])
def test_what_is_no_file_blocks_nobody(tmp_path, kind):
    make = {"pipe": os.mkfifo, "directory": os.mkdir, "loop": lambda path: path.symlink_to(path.name)}
    make[kind](tmp_path / kind)

    assert f"{kind}: " in mistake(tmp_path, f"file:{kind}")
