"""Which database a URL names, and how it is shown; what databases do is in tests/contract."""

from pathlib import Path

import pytest

from control_plane.keys.database import database
from control_plane.keys.errors import StoreUnusable
from service_kit.databases import sqlite_file


@pytest.mark.parametrize(
    ("url", "file"),
    [
        ("sqlite:///var/lib/users.db", "/var/lib/users.db"),
        ("sqlite:////var/lib/users.db", "/var/lib/users.db"),
        ("sqlite:///a b%20c", "/a b%20c"),
    ],
)
def test_the_path_of_a_file_is_absolute(url, file):
    assert sqlite_file(url) == Path(file)
    assert database(url, b"").place == file


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("postgresql://a:secret@db.example.com:5433/users?sslmode=require", "postgresql://db.example.com:5433/users"),
        ("postgresql://db/users?password=secret", "postgresql://db/users"),
        ("postgresql://a:secret@/users?host=/run/postgresql", "postgresql:///run/postgresql/users"),
        ("postgresql://a:s%2Fcret@db", "postgresql://db/"),
    ],
)
def test_a_place_shows_no_password(url, place):
    assert database(url, b"").place == place


@pytest.mark.parametrize("url", ["postgresql://a:secret@db:port/users", "postgresql:secret"])
def test_what_is_no_url_is_not_shown(url):
    with pytest.raises(StoreUnusable, match="the URL of the store is none; write") as refused:
        database(url, b"")

    assert "secret" not in str(refused.value)


def test_a_driver_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "psycopg", None)

    with pytest.raises(StoreUnusable, match=r"psycopg is not installed; install `tollgate\[postgresql\]`"):
        database("postgresql://db/users", b"").run(lambda _: None)
