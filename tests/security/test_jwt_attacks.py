"""The attack corpus of JSON Web Tokens (SECURITY.md 13-24): every one is refused, for the reason it should be."""

import hashlib
import hmac
import json
from collections.abc import Callable
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from service_kit.subscription import PolicyRejected
from tests.support.authz import (
    AUDIENCE,
    HMAC_ISSUER,
    ISSUER,
    NOW,
    SECRET,
    Gate,
    check_request,
    claims,
    ec_jwk,
    ec_key,
    gate,
    hmac_issuer,
    hmac_signed,
    jwks,
    policy,
    raw_token,
    rsa_issuer,
    rsa_jwk,
    rsa_key,
    signed,
    unpadded,
)

ROOT = Path(__file__).resolve().parents[2]
HEADER = {"alg": "RS256", "typ": "JWT", "kid": "k1"}


def refused(token: str | bytes, at: Gate | None = None) -> tuple[str, str]:
    """The code that the client reads and the reason in the log."""
    at = at or gate()
    answer = at.present(token)
    line = at.log_lines()[-1]

    assert answer.status == 401
    assert answer.headers["www-authenticate"] == 'Bearer realm="tollgate", error="invalid_token"'
    assert "-" == line["subject"] == line["consumer"] == line["plan"]
    return answer.code, line["reason"]


def hs256(header: dict[str, object], payload: dict[str, object], secret: bytes) -> str:
    """A token signed by HMAC, made without a library that would object."""
    signing_input = ".".join(unpadded(json.dumps(part).encode()) for part in (header, payload))
    return f"{signing_input}.{unpadded(hmac.new(secret, signing_input.encode(), hashlib.sha256).digest())}"


def public_pem() -> bytes:
    return rsa_key("k1").public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def public_der() -> bytes:
    return rsa_key("k1").public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def edited(token: str, segment: int, edit: Callable[[str], str]) -> str:
    segments = token.split(".")
    segments[segment] = edit(segments[segment])
    return ".".join(segments)


def stray_bit(segment: str) -> str:
    """Another spelling of the same bytes: the last character has bits that no byte uses."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    assert len(segment) % 4 != 0
    return segment[:-1] + alphabet[alphabet.index(segment[-1]) + 1]


SIGNATURE = [
    pytest.param(lambda: hs256({"alg": "none"}, claims(), b""), "no_key", id="alg-none-with-signature"),
    pytest.param(lambda: jwt.encode(claims(), None, "none") + "AA", "no_key", id="alg-none"),
    pytest.param(lambda: jwt.encode(claims(), None, "none"), "base64", id="alg-none-without-signature"),
    *(
        pytest.param(lambda name=name: hs256({**HEADER, "alg": name}, claims(), b""), "no_key", id=f"alg-{name}")
        for name in ("None", "NONE", "nOnE", "", "rs256", " RS256", "RS256 ", "RS256\0", "HS256", "RS384", "PS256")
    ),
    pytest.param(lambda: hs256({**HEADER, "alg": "HS256"}, claims(), public_pem()), "no_key", id="hmac-of-the-pem"),
    pytest.param(lambda: hs256({**HEADER, "alg": "HS256"}, claims(), public_der()), "no_key", id="hmac-of-the-der"),
    pytest.param(
        lambda: hs256({**HEADER, "alg": "HS256"}, claims(), json.dumps(rsa_jwk()).encode()),
        "no_key",
        id="hmac-of-the-jwk",
    ),
    pytest.param(lambda: hs256(HEADER, claims(), public_pem()), "InvalidSignatureError", id="hmac-called-rs256"),
    pytest.param(lambda: hs256({"alg": "HS256"}, claims(), SECRET), "no_key", id="secret-of-another-issuer"),
    pytest.param(lambda: signed(iss=HMAC_ISSUER, headers={"kid": None}), "kid_type", id="kid-null-for-the-hmac-issuer"),
    pytest.param(lambda: signed(iss=HMAC_ISSUER), "no_key", id="rsa-for-the-hmac-issuer"),
    pytest.param(lambda: signed(key="other"), "InvalidSignatureError", id="another-rsa-key"),
    pytest.param(lambda: jwt.encode(claims(), ec_key(), "ES256", headers={"kid": "k1"}), "no_key", id="ec-key-for-rsa"),
    pytest.param(
        lambda: hs256({"alg": "HS256"}, claims(iss=HMAC_ISSUER), b"wrong" * 8),
        "InvalidSignatureError",
        id="wrong-secret",
    ),
    pytest.param(
        lambda: hs256({"alg": "HS512"}, claims(iss=HMAC_ISSUER), SECRET), "no_key", id="hmac-of-another-length"
    ),
    pytest.param(
        lambda: edited(signed(), 1, lambda _: unpadded(json.dumps(claims(sub="root")).encode())),
        "InvalidSignatureError",
        id="payload-exchanged",
    ),
    pytest.param(
        lambda: edited(signed(), 0, lambda _: unpadded(json.dumps({**HEADER, "typ": "x"}).encode())),
        "InvalidSignatureError",
        id="header-exchanged",
    ),
    pytest.param(
        lambda: edited(signed(), 2, lambda text: text[:-10]), "InvalidSignatureError", id="signature-shortened"
    ),
    pytest.param(lambda: edited(signed(), 2, lambda _: "AAAA"), "InvalidSignatureError", id="signature-of-zeros"),
]

KEY_OF_THE_TOKEN = [
    pytest.param({"jwk": rsa_jwk("evil")}, id="jwk"),
    pytest.param({"jwk": rsa_jwk("evil"), "kid": "evil"}, id="jwk-with-its-kid"),
    pytest.param({"jku": "https://evil.example/jwks.json"}, id="jku"),
    pytest.param({"x5u": "https://evil.example/cert.pem"}, id="x5u"),
    pytest.param({"x5c": ["MIIB"]}, id="x5c"),
    pytest.param({"kid": "../../dev/null"}, id="kid-path"),
    pytest.param({"kid": "' OR 1=1 --"}, id="kid-sql"),
    pytest.param({"kid": "k1 "}, id="kid-space"),
    pytest.param({"kid": "K1"}, id="kid-case"),
    pytest.param({"kid": ""}, id="kid-empty"),
]

EXTENSIONS = [
    pytest.param({"crit": ["exp"]}, id="crit-of-a-known-name"),
    pytest.param({"crit": ["x"], "x": 1}, id="crit-unknown"),
    pytest.param({"crit": []}, id="crit-empty"),
    pytest.param({"crit": "b64"}, id="crit-text"),
    pytest.param({"crit": None}, id="crit-null"),
    pytest.param({"crit": ["b64"], "b64": True}, id="b64-true"),
    pytest.param({"crit": ["b64"], "b64": False}, id="b64-false"),
    pytest.param({"b64": False}, id="b64-false-uncritical"),
]

SPELLING = [
    pytest.param(lambda: "..", "base64", id="nothing"),
    pytest.param(lambda: "a..b", "base64", id="empty-payload"),
    pytest.param(lambda: edited(signed(), 2, lambda _: ""), "base64", id="empty-signature"),
    pytest.param(lambda: edited(signed(), 1, lambda text: text + "="), "base64", id="padding-one"),
    pytest.param(lambda: edited(signed(), 1, lambda text: text + "=" * (-len(text) % 4)), None, id="padding-right"),
    pytest.param(lambda: edited(signed(), 2, lambda text: text + "=="), "base64", id="padding-of-the-signature"),
    pytest.param(lambda: edited(signed(), 2, stray_bit), "base64", id="stray-bit"),
    pytest.param(lambda: edited(signed(), 0, lambda text: text[:-1] + "+"), "base64", id="plus-of-the-other-alphabet"),
    pytest.param(lambda: edited(signed(), 0, lambda text: text[:-1] + "/"), "base64", id="slash-of-the-other-alphabet"),
    pytest.param(lambda: edited(signed(), 1, lambda text: text[:4] + "!" + text[4:]), "base64", id="junk-inside"),
    pytest.param(lambda: edited(signed(), 1, lambda _: "A"), "base64", id="one-character"),
    pytest.param(lambda: raw_token(HEADER, "[]"), "payload_json", id="payload-list"),
    pytest.param(lambda: raw_token(HEADER, "null"), "payload_json", id="payload-null"),
    pytest.param(lambda: raw_token(HEADER, "{"), "payload_json", id="payload-broken"),
    pytest.param(lambda: raw_token(HEADER, json.dumps(claims()) + " {}"), "payload_json", id="payload-twice"),
    pytest.param(lambda: raw_token(HEADER, "\ufeff" + json.dumps(claims())), "payload_json", id="payload-bom"),
    pytest.param(lambda: raw_token(HEADER, json.dumps(claims()).encode("utf-16")), "payload_json", id="payload-utf16"),
    pytest.param(lambda: raw_token(HEADER, b'{"iss":"\xff"}'), "payload_json", id="payload-latin1"),
    pytest.param(lambda: raw_token("[]", claims()), "header_json", id="header-list"),
    pytest.param(lambda: raw_token({"kid": "k1"}, claims()), "algorithm", id="no-algorithm"),
    pytest.param(lambda: raw_token({**HEADER, "alg": ["RS256"]}, claims()), "algorithm", id="algorithm-list"),
    pytest.param(lambda: raw_token({**HEADER, "alg": 256}, claims()), "algorithm", id="algorithm-number"),
    pytest.param(lambda: raw_token({**HEADER, "kid": ["k1"]}, claims()), "kid_type", id="kid-list"),
    pytest.param(lambda: raw_token({**HEADER, "kid": 1}, claims()), "kid_type", id="kid-number"),
    pytest.param(
        lambda: raw_token('{"alg":"none","alg":"RS256","kid":"k1"}', claims()), "header_json", id="algorithm-twice"
    ),
    pytest.param(
        lambda: raw_token(HEADER, json.dumps(claims())[:-1] + ',"sub":"root"}'), "payload_json", id="subject-twice"
    ),
    pytest.param(
        lambda: raw_token(HEADER, json.dumps(claims())[:-1] + ',"a":{"b":1,"b":2}}'), "payload_json", id="nested-twice"
    ),
    pytest.param(
        lambda: raw_token(HEADER, '{"\\u0073ub":"root",' + json.dumps(claims())[1:]), "payload_json", id="escaped-twice"
    ),
]

CLAIMS = [
    pytest.param({"iss": None}, "invalid_token", "unknown_issuer", id="iss-missing"),
    pytest.param({"iss": "https://evil.example"}, "invalid_token", "unknown_issuer", id="iss-other"),
    pytest.param({"iss": ISSUER + "/"}, "invalid_token", "unknown_issuer", id="iss-longer"),
    pytest.param({"iss": ISSUER[:-1]}, "invalid_token", "unknown_issuer", id="iss-prefix"),
    pytest.param({"iss": ISSUER.upper()}, "invalid_token", "unknown_issuer", id="iss-case"),
    pytest.param({"iss": [ISSUER]}, "invalid_token", "unknown_issuer", id="iss-list"),
    pytest.param({"iss": {ISSUER: 1}}, "invalid_token", "unknown_issuer", id="iss-object"),
    pytest.param({"aud": None}, "invalid_claim", "aud_missing", id="aud-missing"),
    pytest.param({"aud": "other"}, "wrong_audience", "audience", id="aud-other"),
    pytest.param({"aud": ""}, "invalid_claim", "aud_missing", id="aud-empty"),
    pytest.param({"aud": []}, "invalid_claim", "aud_missing", id="aud-empty-list"),
    pytest.param({"aud": AUDIENCE + "s"}, "wrong_audience", "audience", id="aud-longer"),
    pytest.param({"aud": AUDIENCE[:-1]}, "wrong_audience", "audience", id="aud-prefix"),
    pytest.param({"aud": "a gateway b"}, "wrong_audience", "audience", id="aud-word-of-a-text"),
    pytest.param({"aud": {AUDIENCE: 1}}, "wrong_audience", "audience", id="aud-object"),
    pytest.param({"aud": [AUDIENCE, 7]}, "wrong_audience", "audience", id="aud-list-with-a-number"),
    pytest.param({"exp": None}, "invalid_claim", "exp_missing", id="exp-missing"),
    pytest.param({"exp": NOW}, "expired_token", "expired", id="exp-now"),
    pytest.param({"exp": NOW - 1}, "expired_token", "expired", id="exp-past"),
    pytest.param({"exp": 0}, "expired_token", "expired", id="exp-zero"),
    pytest.param({"exp": -1}, "invalid_claim", "exp_range", id="exp-negative"),
    pytest.param({"exp": str(NOW + 600)}, "invalid_claim", "exp_type", id="exp-text"),
    pytest.param({"exp": "١٨٠٠٠٠٠٠٠٠"}, "invalid_claim", "exp_type", id="exp-unicode-digits"),
    pytest.param({"exp": True}, "invalid_claim", "exp_type", id="exp-bool"),
    pytest.param({"exp": [NOW + 600]}, "invalid_claim", "exp_type", id="exp-list"),
    pytest.param({"exp": 10**15}, "invalid_claim", "exp_range", id="exp-milliseconds"),
    pytest.param({"exp": 10**400}, "invalid_claim", "exp_range", id="exp-huge"),
    pytest.param({"nbf": NOW + 1}, "premature_token", "not_yet_valid", id="nbf-future"),
    pytest.param({"nbf": "soon"}, "invalid_claim", "nbf_type", id="nbf-text"),
    pytest.param({"nbf": False}, "invalid_claim", "nbf_type", id="nbf-bool"),
    pytest.param({"iat": NOW + 1}, "premature_token", "not_yet_valid", id="iat-future"),
    pytest.param({"iat": "now"}, "invalid_claim", "iat_type", id="iat-text"),
    pytest.param({"sub": None}, "invalid_claim", "subject_missing", id="sub-missing"),
    pytest.param({"sub": ""}, "invalid_claim", "claim_text", id="sub-empty"),
    pytest.param({"sub": "-"}, "invalid_claim", "claim_text", id="sub-poses-as-missing"),
    pytest.param({"sub": "é" * 43}, "invalid_claim", "claim_text", id="sub-too-long"),
    pytest.param({"sub": "\ud800"}, "invalid_claim", "claim_text", id="sub-half-a-surrogate"),
    pytest.param({"sub": 7}, "invalid_token", "InvalidSubjectError", id="sub-number"),
    pytest.param({"sub": ["ada"]}, "invalid_token", "InvalidSubjectError", id="sub-list"),
    pytest.param({"org": 7}, "invalid_claim", "claim_type", id="tenant-number"),
    pytest.param({"org": {"name": "x"}}, "invalid_claim", "claim_type", id="tenant-object"),
    pytest.param({"org": ""}, "invalid_claim", "claim_text", id="tenant-empty"),
    pytest.param({"plan": True}, "invalid_claim", "claim_type", id="plan-bool"),
    pytest.param({"plan": "-"}, "invalid_claim", "claim_text", id="plan-poses-as-missing"),
    pytest.param({"scope": {"email.send": True}}, "invalid_claim", "claim_type", id="scope-object"),
    pytest.param({"scope": ["a", 1]}, "invalid_claim", "claim_type", id="scope-list-with-a-number"),
    pytest.param({"roles": 1}, "invalid_claim", "claim_type", id="roles-number"),
    pytest.param({"roles": [["admin"]]}, "invalid_claim", "claim_type", id="roles-nested"),
]

HEADERS = [
    pytest.param(lambda: b"Bearer " + b"a." * 2 + b"a" * 8190, id="oversized"),
    pytest.param(lambda: f"Bearer {signed()}\n", id="trailing-newline"),
    pytest.param(lambda: f"Bearer {signed()} ", id="trailing-space"),
    pytest.param(lambda: f"Bearer {signed()}\0", id="trailing-nul"),
    pytest.param(lambda: f"Bearer\t{signed()}", id="tab"),
    pytest.param(lambda: f" Bearer {signed()}", id="leading-space"),
    pytest.param(lambda: f"Bearer\u00a0{signed()}", id="unicode-space"),
    pytest.param(lambda: f"Bearer {signed()} x", id="two-words"),
    pytest.param(lambda: f"Bearer Bearer {signed()}", id="scheme-twice"),
    pytest.param(lambda: f"Bearer{signed()}", id="no-space"),
    pytest.param(signed, id="no-scheme"),
    pytest.param(lambda: f"JWT {signed()}", id="another-scheme"),
    pytest.param(lambda: "Basic YTpi", id="basic"),
    pytest.param(lambda: "", id="empty"),
    pytest.param(lambda: "Bearer", id="scheme-alone"),
    pytest.param(lambda: "Bearer ", id="scheme-and-space"),
    pytest.param(lambda: b"Bearer \xff\xfe.\x80.\x81", id="bytes"),
]


def test_the_good_tokens_of_this_corpus_are_accepted():
    """Otherwise every test below could pass for a wrong reason."""
    at = gate()

    assert [at.present(token).code for token in (signed(), hmac_signed(), raw_token(HEADER, claims()))] == ["ok"] * 3


@pytest.mark.parametrize(("token", "reason"), SIGNATURE)
def test_a_signature_that_the_issuer_did_not_make(token: Callable[[], str], reason: str):
    assert refused(token()) == ("invalid_token", reason)


@pytest.mark.parametrize("headers", KEY_OF_THE_TOKEN)
def test_a_token_does_not_bring_its_own_key(headers: dict[str, object]):
    assert refused(signed(headers, key="evil"))[0] == "invalid_token"


def test_keys_beside_a_good_signature_are_not_looked_at():
    headers = {"jwk": rsa_jwk("evil"), "jku": "https://evil.example", "x5u": "https://evil.example", "x5c": ["x"]}

    assert gate().present(signed(headers)).allowed


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_a_critical_extension_is_refused_even_when_signed(extension: dict[str, object]):
    assert refused(raw_token({**HEADER, **extension}, claims())) == ("invalid_token", "critical_extension")


@pytest.mark.parametrize(("token", "reason"), SPELLING)
def test_a_token_with_two_readings(token: Callable[[], str], reason: str | None):
    text = token()
    if reason is None and text == signed():
        text += "="  # this payload needs no padding, so any is too much

    assert refused(text) == ("invalid_token", reason or "base64")


@pytest.mark.parametrize(("changes", "code", "reason"), CLAIMS)
def test_a_claim_that_does_not_hold(changes: dict[str, object], code: str, reason: str):
    assert refused(signed(**changes)) == (code, reason)


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999"])
def test_an_expiry_that_is_no_number(constant: str):
    payload = json.dumps(claims(exp="X")).replace('"X"', constant)

    assert refused(raw_token(HEADER, payload)) in {("invalid_token", "payload_json"), ("invalid_claim", "exp_range")}


def test_a_payload_nested_deeper_than_a_stack():
    assert refused(raw_token(HEADER, '{"a":' + "[" * 2500 + "]" * 2500 + "}"))[0] == "invalid_token"


def test_an_expiry_of_more_digits_than_a_number_may_have():
    payload = json.dumps(claims(exp="X")).replace('"X"', "9" * 4400)

    assert refused(raw_token(HEADER, payload))[0] == "invalid_token"


@pytest.mark.parametrize("value", HEADERS)
def test_a_header_that_holds_no_credential(value: Callable[[], str | bytes]):
    answer = gate().ask(value())

    assert (answer.status, answer.code) == (401, "malformed_credential")


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "bEaReR"])
def test_the_scheme_is_case_insensitive_and_the_token_is_not(scheme: str):
    at = gate()

    assert at.ask(f"{scheme}  {signed()}").allowed
    assert not at.ask(f"{scheme} {signed().swapcase()}").allowed


@pytest.mark.parametrize("kid", [None, "k3", "", "k1,k2"])
def test_among_several_keys_the_token_must_name_one(kid: str | None):
    issuer = rsa_issuer(jwks=jwks(rsa_jwk("k1"), rsa_jwk("k2")))
    header = {name: value for name, value in {**HEADER, "kid": kid}.items() if value is not None}

    assert refused(raw_token(header, claims()), gate(policy(jwt=[issuer]))) == ("invalid_token", "no_key")


def test_a_token_must_be_signed_by_the_very_key_it_names():
    at = gate(policy(jwt=[rsa_issuer(jwks=jwks(rsa_jwk("k1"), rsa_jwk("k2")))]))

    assert at.present(signed({"kid": "k2"}, key="k2")).part("key-id") == "k2"
    assert refused(signed({"kid": "k1"}, key="k2"), at) == ("invalid_token", "InvalidSignatureError")


def test_an_algorithm_must_fit_the_key_it_is_used_with():
    """An issuer with RSA and EC keys: ES256 over the RSA key's name finds no key."""
    issuer = rsa_issuer(algorithms=["RS256", "ES256"], jwks=jwks(rsa_jwk("k1"), ec_jwk("e1")))
    at = gate(policy(jwt=[issuer]))

    assert at.present(jwt.encode(claims(), ec_key(), "ES256", headers={"kid": "e1"})).allowed
    assert refused(jwt.encode(claims(), ec_key(), "ES256", headers={"kid": "k1"}), at) == ("invalid_token", "no_key")


def test_the_key_of_one_issuer_does_not_sign_for_another():
    other = rsa_issuer(name="other", issuer="https://other.example", jwks=jwks(rsa_jwk("k9")))
    at = gate(policy(jwt=[rsa_issuer(), other]))

    assert refused(signed({"kid": "k9"}, key="k9"), at) == ("invalid_token", "no_key")
    assert at.present(signed({"kid": "k9"}, key="k9", iss="https://other.example")).allowed


def test_a_longest_lifetime_needs_an_issue_date_and_bounds_it():
    at = gate(policy(jwt=[rsa_issuer(max_lifetime_seconds=300)]))

    assert at.present(signed(iat=NOW, exp=NOW + 300)).allowed
    assert refused(signed(iat=NOW, exp=NOW + 301), at) == ("invalid_claim", "lifetime")
    assert refused(signed(iat=None, exp=NOW + 300), at) == ("invalid_claim", "lifetime")


def test_leeway_is_for_clocks_and_no_longer():
    at = gate(policy(jwt=[rsa_issuer(leeway_seconds=30)]))

    assert at.present(signed(exp=NOW - 29.5)).allowed
    assert at.present(signed(nbf=NOW + 30, iat=NOW + 30)).allowed
    assert refused(signed(exp=NOW - 30), at) == ("expired_token", "expired")
    assert refused(signed(nbf=NOW + 31), at) == ("premature_token", "not_yet_valid")


def test_no_claim_of_a_refused_token_is_shown_or_logged():
    at = gate(policy(jwt=[rsa_issuer(), hmac_issuer()]))
    marked = {"iss": "MARK-iss", "sub": "MARK-sub", "org": "MARK-org", "aud": "MARK-aud", "plan": "MARK-plan"}
    tokens = [
        signed(**marked),
        signed(**{**marked, "iss": ISSUER}),
        signed({"kid": "MARK-kid"}, **marked),
        raw_token({**HEADER, "alg": "MARK-alg"}, claims()),
        raw_token({**HEADER, "crit": ["MARK-crit"]}, claims()),
        "MARK.MARK.MARK",
    ]
    answers = [at.present(token) for token in tokens]

    shown = at.logged.getvalue() + "".join(str(answer.message) for answer in answers)
    assert not any(answer.allowed for answer in answers)
    assert "MARK" not in shown
    assert not any(segment in shown for token in tokens[:-1] for segment in token.split("."))


TYPES = [
    pytest.param("at+jwt", True, id="the-same"),
    pytest.param("AT+JWT", True, id="case"),
    pytest.param("application/at+jwt", True, id="in-full"),
    pytest.param("JWT", False, id="another"),
    pytest.param("id+jwt", False, id="an-id-token"),
    pytest.param("at+jwt;v=1", False, id="with-a-parameter"),
    pytest.param("x/at+jwt", False, id="of-another-tree"),
    pytest.param("application/x/at+jwt", False, id="deeper"),
    pytest.param(" at+jwt", False, id="space"),
    pytest.param("", False, id="empty"),
    pytest.param(["at+jwt"], False, id="list"),
    pytest.param(None, False, id="null"),
]


@pytest.mark.parametrize(("typ", "accepted"), TYPES)
def test_a_token_of_another_type(typ: object, accepted: bool):
    """An ID token of the same issuer for the same audience is no access token (RFC 9068, RFC 8725 3.11)."""
    at = gate(policy(jwt=[rsa_issuer(type="at+jwt")]))
    token = raw_token({**HEADER, "typ": typ}, claims())

    if accepted:
        assert at.present(token).allowed
    else:
        assert refused(token, at) == ("invalid_token", "type")


def test_a_type_is_asked_for_only_where_it_is_written():
    at = gate(policy(jwt=[rsa_issuer()]))

    assert at.present(raw_token({**HEADER, "typ": "anything"}, claims())).allowed
    assert at.present(raw_token({"alg": "RS256", "kid": "k1"}, claims())).allowed


def test_an_issuer_without_keys_yet_lets_nobody_in():
    """Its tokens are neither accepted nor refused; a forged one learns no more than a good one."""
    at = gate(policy(jwt=[rsa_issuer(jwks=None, fetched=True), hmac_issuer()]))
    forged = hs256({"alg": "none"}, claims(), b"")

    answers = [at.present(token) for token in (signed(), signed(key="evil"), forged, signed(exp=0))]

    assert {(answer.status, answer.code) for answer in answers} == {(503, "keys_unavailable")}
    assert at.present(hmac_signed()).allowed


@pytest.mark.parametrize(
    ("header", "asks"),
    [
        pytest.param({"kid": "new"}, True, id="unknown-key"),
        pytest.param({"kid": "new", "alg": "HS256"}, False, id="algorithm-of-nobody"),
        pytest.param({"kid": "new", "alg": "none"}, False, id="no-algorithm"),
        pytest.param({"kid": "k1", "alg": "RS384"}, False, id="known-key"),
        pytest.param({}, False, id="known-key-and-algorithm"),
    ],
)
def test_only_a_key_that_could_be_there_is_asked_for(header: dict[str, object], asks: bool):
    """CVE-2026-48524: who writes tokens must not make the gateway fetch keys at will."""
    issuer = rsa_issuer(fetched=True, jwks=jwks(rsa_jwk("k1"), rsa_jwk("k2")))
    at = gate(policy(jwt=[issuer]))
    decision = at.authorizer.decide(question(raw_token({**HEADER, **header}, claims(), "evil")))

    assert (decision.unknown_key_of is not None) == asks


def test_keys_of_a_file_are_not_asked_for():
    at = gate(policy(jwt=[rsa_issuer(jwks=jwks(rsa_jwk("k1"), rsa_jwk("k2")))]))

    assert at.authorizer.decide(question(signed({"kid": "new"}))).unknown_key_of is None


def question(token: str) -> bytes:
    return check_request([("authorization", f"Bearer {token}")])


def rightly_signed(algorithm: str) -> str:
    """With the very key that the issuer publishes, by an algorithm that it does not name."""
    return jwt.encode(claims(), rsa_key("k1"), algorithm, headers={"kid": "k1"})


# What was once wrong with the library that verifies signatures, and must not come back by the way we use it.
ADVISORIES = [
    pytest.param(lambda: hs256({**HEADER, "alg": "HS256"}, claims(), public_pem()), id="CVE-2022-29217"),
    pytest.param(lambda: raw_token({**HEADER, "crit": ["x"], "x": 1}, claims()), id="GHSA-752w-5fwx-jx9f"),
    pytest.param(lambda: raw_token({**HEADER, "crit": ["b64"], "b64": False}, claims()), id="CVE-2026-32597"),
    pytest.param(lambda: rightly_signed("RS512"), id="GHSA-jq35-7prp-9v3f"),
    pytest.param(lambda: rightly_signed("PS256"), id="CVE-2026-48523"),
    pytest.param(lambda: signed({"kid": "unknown"}), id="CVE-2026-48524"),
    pytest.param(lambda: hs256({"alg": "HS256"}, claims(), json.dumps(rsa_jwk()).encode()), id="GHSA-xgmm-8j9v-c9wx"),
    pytest.param(lambda: hs256(HEADER, claims(), jwks(rsa_jwk()).encode()), id="CVE-2026-48526"),
    pytest.param(lambda: signed(iss=ISSUER[len("https://") :]), id="GHSA-75c5-xw7c-p5pm"),
]


@pytest.mark.parametrize("token", ADVISORIES)
def test_an_advisory_of_the_library(token: Callable[[], str]):
    several = rsa_issuer(jwks=jwks(rsa_jwk("k1"), rsa_jwk("k2")))

    for issuer in (rsa_issuer(), several, rsa_issuer(fetched=True)):
        assert refused(token(), gate(policy(jwt=[issuer])))[0] == "invalid_token"


@pytest.mark.parametrize("secret", [public_pem, public_der, lambda: json.dumps(rsa_jwk()).encode()])
def test_what_is_public_is_no_secret(secret: Callable[[], bytes]):
    """CVE-2022-29217 and CVE-2026-48526 begin with such a configuration."""
    with pytest.raises(PolicyRejected, match="public key, a certificate or a JWK"):
        gate(policy(jwt=[hmac_issuer(secret=secret())]))


def test_the_library_is_one_without_known_advisories():
    pinned = next(line for line in (ROOT / "pyproject.toml").read_text().splitlines() if "pyjwt" in line)

    assert ">=2.13" in pinned
    assert tuple(map(int, jwt.__version__.split(".")[:2])) >= (2, 13)


def test_two_credentials_are_none():
    one, other = f"Bearer {signed()}", f"Bearer {hmac_signed()}"
    pairs = [(one, one), (one, other), (f"{one},{other}",), (f"{one}, {one}",), (one, ""), (one, "Basic YTpi")]

    assert {(answer.status, answer.code) for answer in (gate().ask(*pair) for pair in pairs)} == {
        (400, "ambiguous_credentials")
    }
