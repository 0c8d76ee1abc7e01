import pytest

from authz_service.identity import Grant
from authz_service.tokens import LONGEST, VerifiedTokens

GRANT = Grant("ada", "ada", None, None, None, None, frozenset(), frozenset(), forward=False)


@pytest.fixture
def lookups() -> list[str]:
    return []


def test_a_token_is_remembered_until_it_expires(lookups: list[str]):
    tokens = VerifiedTokens(lookups.append)
    tokens.keep(b"t", GRANT, now=100, expires=110)

    assert tokens.find(b"t", 109.9) == GRANT
    assert tokens.find(b"t", 110) is None
    assert lookups == ["hit", "miss"]


def test_no_token_is_remembered_longer_than_five_minutes(lookups: list[str]):
    tokens = VerifiedTokens(lookups.append)
    tokens.keep(b"t", GRANT, now=100, expires=10_000)

    assert tokens.find(b"t", 100 + LONGEST - 1) == GRANT
    assert tokens.find(b"t", 100 + LONGEST) is None


def test_a_clock_set_back_forgets(lookups: list[str]):
    tokens = VerifiedTokens(lookups.append)
    tokens.keep(b"t", GRANT, now=100, expires=200)

    assert tokens.find(b"t", 99) is None
    assert tokens.find(b"t", 101) is None


def test_the_whole_token_is_the_key(lookups: list[str]):
    tokens = VerifiedTokens(lookups.append)
    tokens.keep(b"a.b.c", GRANT, now=100, expires=200)

    assert tokens.find(b"a.b.d", 101) is None


def test_the_least_recently_used_goes_first(lookups: list[str]):
    tokens = VerifiedTokens(lookups.append, capacity=2)
    for token in (b"1", b"2"):
        tokens.keep(token, GRANT, now=100, expires=200)
    tokens.find(b"1", 101)
    tokens.keep(b"3", GRANT, now=100, expires=200)

    assert len(tokens) == 2
    assert [tokens.find(token, 101) for token in (b"1", b"2", b"3")] == [GRANT, None, GRANT]
