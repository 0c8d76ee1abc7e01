from typing import Any

import pytest

from authz_service.claims import ClaimNames, grant_from_claims
from authz_service.identity import Grant

NAMES = ClaimNames(subject="sub", tenant="org", consumer=None, plan="plan", scopes="scope", roles="roles")


def granted(names: ClaimNames = NAMES, **claims: Any) -> Grant:
    return grant_from_claims({"sub": "ada", **claims}, names, key_id="k1", forward=False)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        pytest.param("a b", {"a", "b"}, id="text"),
        pytest.param(" a  b ", {"a", "b"}, id="text-with-more-spaces"),
        pytest.param("", set(), id="empty-text"),
        pytest.param(["a", "b"], {"a", "b"}, id="list"),
        pytest.param(["a b"], {"a b"}, id="list-of-one-element-with-a-space"),
        pytest.param([], set(), id="empty-list"),
        pytest.param("a,b", {"a,b"}, id="comma-is-no-separator"),
        pytest.param("a\u00a0b\tc", {"a\u00a0b\tc"}, id="other-blanks-are-no-separators"),
        pytest.param(None, set(), id="null"),
    ],
)
def test_scopes_and_roles_are_text_or_a_list(value: object, words: set[str]):
    grant = granted(scope=value, roles=value)

    assert grant.scopes == grant.roles == words


def test_a_claim_that_is_null_counts_as_absent():
    assert (granted(org=None).tenant, granted(plan=None).plan) == (None, None)


def test_the_subject_is_the_consumer_where_no_claim_was_chosen():
    assert granted().consumer == "ada"


@pytest.mark.parametrize(("claims", "consumer"), [({"client": "acme"}, "acme"), ({}, None)])
def test_a_chosen_claim_alone_names_the_consumer(claims: dict[str, str], consumer: str | None):
    """A person called like a declared consumer must not become it, because the claim happens to be missing."""
    names = ClaimNames(subject="sub", tenant=None, consumer="client", plan=None, scopes=None, roles=None)

    assert granted(names, **claims).consumer == consumer


def test_claims_that_were_not_chosen_are_not_read():
    names = ClaimNames(subject="sub", tenant=None, consumer=None, plan=None, scopes=None, roles=None)

    assert granted(names, org=7, plan=7, scope=7, roles=7) == Grant(
        "ada", "ada", None, None, None, "k1", frozenset(), frozenset(), forward=False
    )


def test_a_claims_name_is_no_path():
    names = ClaimNames(
        subject="https://example.com/who", tenant="a.b", consumer=None, plan=None, scopes=None, roles=None
    )
    grant = granted(names, **{"https://example.com/who": "ada", "a": {"b": "nested"}, "a.b": "flat"})

    assert (grant.subject, grant.tenant) == ("ada", "flat")
