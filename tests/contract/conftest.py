"""Stores of keys: SQLite and PostgreSQL."""

import pytest

from tests.support.identities import DATABASES, new_store
from tests.support.postgres import postgres_binaries, postgres_server


@pytest.fixture(scope="session")
def postgres():
    with postgres_server(postgres_binaries()) as server:
        yield server


@pytest.fixture(params=DATABASES)
def url(request, tmp_path):
    """A store that nobody has used."""
    return new_store(request.param, tmp_path, lambda: request.getfixturevalue("postgres"))
