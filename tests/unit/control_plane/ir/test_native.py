"""Which tokens Envoy may judge, and the mark by which routes know that it judged by what is live."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from control_plane.ir.model import Gateway, Native
from control_plane.ir.native import judged_by_envoy, knows_consumers, native_keys, native_marks
from control_plane.xds.listener.listeners import listeners, shown_to_listeners
from tests.support.authz import ec_jwk, rsa_jwk
from tests.support.compiled import IDENTITY, TOKEN, WIRING, compiled, config, route

OF_ED448 = {"kty": "OKP", "crv": "Ed448", "kid": "o1"}


def issuer(folder: Path, *keys: Mapping[str, object], **changes: Any) -> dict[str, Any]:
    file = folder / f"{changes.get('name', 'accounts')}.json"
    file.write_text(json.dumps({"keys": keys or (rsa_jwk("k1"),)}))
    return {
        "name": "accounts",
        "issuer": f"https://{changes.get('name', 'accounts')}.example.com",
        "audiences": ["gateway"],
        "algorithms": ["RS256", "ES256"],
        "keys": {"file": str(file)},
        "enforce": "envoy",
        **changes,
    }


def gateway(*issuers: Mapping[str, Any], auth: Any = ("jwt",), **changes: Any) -> Gateway:
    written = [route("email", "/email", auth=auth if auth == "none" else list(auth))]
    identity = {**IDENTITY, **changes.pop("identity", {}), "jwt": list(issuers)}
    return compiled(config(identity=identity, routes=written, **changes)).gateway


def native(found: Gateway) -> Native | None:
    return found.routes[0].native


@pytest.mark.parametrize(
    ("auth", "judged"),
    [
        pytest.param(["jwt"], True, id="tokens"),
        pytest.param(["jwt", "bearer"], True, id="among-others"),
        pytest.param(["bearer"], False, id="others-only"),
        pytest.param("none", False, id="public"),
    ],
)
def test_envoy_judges_on_routes_that_accept_tokens(tmp_path: Path, auth: Any, *, judged: bool) -> None:
    assert (native(gateway(issuer(tmp_path), auth=auth)) is not None) == judged


def test_beside_certificates_of_connections_the_authorizer_is_asked(tmp_path: Path) -> None:
    whole = gateway(issuer(tmp_path)).routes[0]
    assert whole.demand is not None

    assert judged_by_envoy(replace(whole.demand, accept=("jwt", "mtls")), whole.native) is None
    assert judged_by_envoy(whole.demand, whole.native) is whole.native is not None


def test_of_several_issuers_only_the_native_ones_are_judged(tmp_path: Path) -> None:
    other = issuer(tmp_path, name="other", enforce="service")

    found = gateway(issuer(tmp_path), other, issuer(tmp_path, name="third"))

    marks = native_marks(found)
    assert [item.name for item in marks.values()] == ["accounts", "third"]
    judged = native(found)
    assert judged is not None
    assert [item.mark for item in judged.issuers] == list(marks)


@pytest.mark.parametrize(
    ("keys", "kept"),
    [
        pytest.param([rsa_jwk("k1")], [("k1", "RS256")], id="one"),
        pytest.param([rsa_jwk("k1", kid=None)], [(None, "RS256")], id="one-without-name"),
        pytest.param([rsa_jwk("k1"), rsa_jwk("k2", kid=None)], [("k1", "RS256")], id="a-name-among-several"),
        pytest.param([rsa_jwk("k1"), ec_jwk("e1")], [("e1", "ES256"), ("k1", "RS256")], id="two-algorithms"),
        pytest.param([rsa_jwk("k1"), rsa_jwk("k2", kid="a name")], [("k1", "RS256")], id="name-that-is-encoded"),
    ],
)
def test_the_keys_are_those_that_a_token_may_name(
    tmp_path: Path, keys: list[Mapping[str, object]], kept: list[tuple[str | None, str]]
) -> None:
    found = gateway(issuer(tmp_path, *keys)).jwt[0]

    assert sorted((key.get("kid"), key["alg"]) for key in native_keys(found)) == kept


def test_a_key_of_two_algorithms_is_there_for_each(tmp_path: Path) -> None:
    found = gateway(issuer(tmp_path, algorithms=["RS256", "PS256"])).jwt[0]

    assert [(key["kid"], key["alg"]) for key in native_keys(found)] == [("k1", "PS256"), ("k1", "RS256")]


CHANGES = {
    "key": {"keys": [rsa_jwk("k2")]},
    "audience": {"audiences": ["elsewhere"]},
    "leeway": {"leeway": "5s"},
    "lifetime": {"max_lifetime": "5m"},
    "type": {"type": "at+jwt"},
    "claim": {"claims": {"subject": "user"}},
    "forward": {"forward": True},
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_decides_about_tokens_changes_the_mark(tmp_path: Path, name: str) -> None:
    changes: dict[str, Any] = dict(CHANGES[name])
    keys = changes.pop("keys", ())

    before, after = gateway(issuer(tmp_path)), gateway(issuer(tmp_path, *keys, **changes))

    assert native_marks(before).keys().isdisjoint(native_marks(after))
    assert native(before) != native(after)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"plans": {"free": {}}}, id="plans"),
        pytest.param({"consumers": [{"name": "acme"}]}, id="consumers"),
    ],
)
def test_what_decides_about_all_tokens_changes_the_mark(tmp_path: Path, changes: dict[str, Any]) -> None:
    before, after = gateway(issuer(tmp_path)), gateway(issuer(tmp_path), **changes)

    assert native_marks(before).keys().isdisjoint(native_marks(after))


def test_what_decides_about_no_token_leaves_the_mark(tmp_path: Path) -> None:
    before = gateway(issuer(tmp_path), plans={"free": {}}, consumers=[{"name": "acme"}])
    limited = {"free": {"limits": [{"requests": "5/minute"}]}}

    after = gateway(issuer(tmp_path), plans=limited, consumers=[{"name": "acme", "tenant": "a"}])

    assert native_marks(before) == native_marks(after)


def test_consumers_are_unknown_where_a_credential_may_name_a_stored_one(tmp_path: Path) -> None:
    named = issuer(tmp_path, name="named", enforce="service", claims={"consumer": "client"})

    assert knows_consumers(gateway(issuer(tmp_path)))
    assert not knows_consumers(gateway(issuer(tmp_path), named))
    assert not knows_consumers(gateway(issuer(tmp_path), auth=["jwt", "api_key"]))


@pytest.mark.parametrize("auth", [["jwt"], ["jwt", "api_key"]])
def test_listeners_are_made_of_what_they_are_shown(tmp_path: Path, auth: list[str]) -> None:
    whole = gateway(
        issuer(tmp_path),
        issuer(tmp_path, name="named", enforce="service", claims={"consumer": "client"}),
        auth=auth,
        plans={"free": {}},
        consumers=[{"name": "acme"}],
        defaults={"plan": "free"},
    )

    made = [
        [bytes(item) for item in listeners(seen, seen.listeners[0], WIRING)]
        for seen in (whole, shown_to_listeners(whole))
    ]

    assert made[0] == made[1]
    assert TOKEN.encode() not in made[0][0]
