import pytest

from control_plane.keys.entries import Declared
from control_plane.keys.errors import StoreUnusable
from control_plane.keys.settings import StoreSettings, declared, kept_pepper, store_settings
from tests.support.compiled import compiled, config

HASH = "hmac-sha256:" + "0" * 64


def configured(**changes):
    return compiled(config(**changes)).loaded.config


def settings(tmp_path, **keys):
    return store_settings(configured(identity={"api_keys": keys}), tmp_path)


def test_what_the_configuration_does_not_say_is_in_the_state_directory(tmp_path):
    found = settings(tmp_path)

    assert found.url == f"sqlite://{tmp_path}/users.sqlite"
    assert found.pepper.decode() == (tmp_path / "key_pepper").read_text().strip()
    assert len(found.pepper) >= 32
    assert settings(tmp_path) == found


def test_the_configuration_comes_first(tmp_path):
    found = settings(tmp_path, pepper="p" * 32, store="sqlite:///data/users.db")

    assert found == StoreSettings("sqlite:///data/users.db", b"p" * 32)
    assert list(tmp_path.iterdir()) == []


def test_a_pepper_that_was_made_can_be_written_into_a_configuration(tmp_path):
    made = settings(tmp_path)

    assert settings(tmp_path, pepper=f"file:{tmp_path}/key_pepper") == made


def test_settings_do_not_show_themselves(tmp_path):
    found = settings(tmp_path, pepper="p" * 32, store="postgresql://a:a-password@b/c")

    assert "p" * 32 not in repr(found)
    assert "a-password" not in repr(found)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda file: file.write_text("short\n"), "shorter than 32 bytes; restore it from a backup"),
        (lambda file: file.mkdir(), "Is a directory; make it readable, or write `identity.api_keys.pepper`"),
        (lambda file: file.write_bytes(b"\xff" * 40), "make it readable"),
    ],
    ids=["short", "folder", "bytes"],
)
def test_a_pepper_that_cannot_be_used(tmp_path, spoil, message):
    spoil(tmp_path / "key_pepper")

    with pytest.raises(StoreUnusable, match=message):
        kept_pepper(tmp_path)


def test_what_a_configuration_declares():
    keys = [{"id": "5vg68MA6yzYr", "hash": HASH}]
    found = declared(
        configured(
            plans={"free": {}},
            consumers=[{"name": "ann"}, {"name": "bob", "keys": keys}],
            upstreams={"local": {"url": "http://127.0.0.1:11434", "api": "ollama"}},
            llm={"auth": "none"},
            models=[{"name": "llama", "upstream": "local", "aliases": ["small", "quick"]}],
        )
    )

    assert found == Declared(
        frozenset({"ann", "bob"}),
        frozenset({"5vg68MA6yzYr"}),
        frozenset({"free"}),
        {"small": "llama", "quick": "llama"},
    )
