"""A hundred kills of the ledger, on either database: no row is lost, and none is there twice."""

import random

import pytest

from tests.support.identities import DATABASES, new_store
from tests.support.ledger_crashes import prove
from tests.support.postgres import postgres_binaries, postgres_server

ROUNDS = 50


@pytest.fixture(scope="module")
def postgres():
    with postgres_server(postgres_binaries()) as server:
        yield server


@pytest.mark.parametrize("kind", DATABASES)
def test_a_hundred_kills(kind, tmp_path, request):
    url = new_store(kind, tmp_path, lambda: request.getfixturevalue("postgres"))
    prove(tmp_path, url, rounds=ROUNDS, chance=random.Random(7))
