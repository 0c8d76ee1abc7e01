"""Tokens of the gateway through the real Envoy: given for API keys, used, and gone with their keys."""

import base64
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from click.testing import Result
from typer.testing import CliRunner

from tests.support.authz import jwks, rsa_jwk, signed
from tests.support.eventually import until
from tests.support.gateway import Gateway, running_gateway
from tests.support.ports import free_port
from tests.support.upstream import Upstream
from tollgate_cli.main import app

ISSUER = "https://gateway.example.com"
AUDIENCE = "email-api"
GRANT = {"grant_type": "client_credentials"}
SECRET = re.compile(r"tgk_[0-9A-Za-z]{12}_|eyJ[A-Za-z0-9_-]+\.eyJ")


def content(upstream: Upstream, elsewhere: int, **tokens: Any) -> dict[str, Any]:
    return {
        "identity": {"tokens": {"issuer": ISSUER, "audiences": [AUDIENCE], "listeners": ["public"], **tokens}},
        "plans": {"small": {}, "large": {}},
        "defaults": {"plan": "small"},
        "consumers": [{"name": "acme", "tenant": "acme-corp"}],
        "upstreams": {"echo": {"url": upstream.url}},
        "more_listeners": elsewhere,
        "routes": [
            {"name": "open", "match": {"path": "/open"}, "upstream": "echo", "auth": ["jwt"]},
            {"name": "scoped", "match": {"path": "/scoped"}, "upstream": "echo", "auth": ["jwt"],
             "require": {"scopes": ["email.send"]}},
            {"name": "rest", "match": {"path": "/*"}, "upstream": "echo", "auth": "none"},
        ],
    }  # fmt: skip


def written(upstream: Upstream, elsewhere: int, port: int, **tokens: Any) -> dict[str, Any]:
    found = content(upstream, elsewhere, **tokens)
    found.pop("more_listeners")
    return found | {
        "listeners": {
            "public": {"address": f"127.0.0.1:{port}"},
            "internal": {"address": f"127.0.0.1:{elsewhere}"},
        }
    }


@pytest.fixture(scope="module")
def elsewhere() -> int:
    return free_port()


@pytest.fixture(scope="module")
def gateway(upstream: Upstream, elsewhere: int) -> Iterator[Gateway]:
    bare = content(upstream, elsewhere)
    bare.pop("more_listeners")
    with running_gateway(bare) as found:
        found.write(written(upstream, elsewhere, found.port))
        until(lambda: _answers(f"http://127.0.0.1:{elsewhere}/anything"))
        yield found


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False, verify=False).status_code == 200
    except httpx.TransportError:
        return False


def tollgate(gateway: Gateway, *arguments: str) -> Result:
    place = ("--state-dir", str(gateway.folder / "state"))
    return CliRunner().invoke(app, [*arguments, *place], env={"COLUMNS": "200"})


def data(gateway: Gateway, *arguments: str) -> Any:
    done = tollgate(gateway, *arguments, "--json")
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)


def made(gateway: Gateway, *more: str) -> Any:
    return data(gateway, "keys", "create", "--consumer", "acme", *more)


def post(gateway: Gateway, form: dict[str, str], **options: Any) -> httpx.Response:
    with gateway.client() as client:
        return client.post("/oauth/token", data=form, **options)


def token(gateway: Gateway, key: Any, **form: str) -> str:
    answer = post(gateway, {**GRANT, "client_id": key["id"], "client_secret": key["key"], **form})
    assert answer.status_code == 200, answer.text
    return answer.json()["access_token"]


def use(gateway: Gateway, access_token: str, path: str = "open") -> httpx.Response:
    with gateway.client(headers={"authorization": f"Bearer {access_token}"}) as client:
        return client.get(f"/{path}")


def verified(gateway: Gateway, access_token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims, verified as a stranger would: by what the gateway publishes alone."""
    with gateway.client() as client:
        document = client.get("/.well-known/openid-configuration").json()
        keys = jwt.PyJWKSet.from_dict(client.get(document["jwks_uri"].removeprefix(ISSUER)).json())
    header = jwt.get_unverified_header(access_token)
    claims = jwt.decode(
        access_token, keys[header["kid"]], algorithms=["ES256"], audience=AUDIENCE, issuer=document["issuer"]
    )
    return header, claims


def test_a_key_is_exchanged_for_a_token_that_opens_what_the_key_may(gateway: Gateway) -> None:
    key = made(gateway, "--scope", "email.send", "--scope", "email.read", "--role", "mailer", "--plan", "large")
    answer = post(gateway, GRANT, auth=httpx.BasicAuth(key["id"], key["key"]))
    issued = answer.json()

    assert answer.status_code == 200, answer.text
    assert (answer.headers["cache-control"], answer.headers["pragma"]) == ("no-store", "no-cache")
    assert issued.keys() == {"access_token", "token_type", "expires_in", "scope"}
    assert (issued["token_type"], issued["expires_in"], issued["scope"]) == ("Bearer", 300, "email.read email.send")
    header, claims = verified(gateway, issued["access_token"])
    assert (header["typ"], header["alg"]) == ("at+jwt", "ES256")
    assert claims["exp"] - claims["iat"] == 300
    assert {name: claims[name] for name in ("sub", "consumer", "plan", "scope", "roles", "key_id", "client_id")} == {
        "sub": "acme", "consumer": "acme", "plan": "large", "scope": "email.read email.send", "roles": ["mailer"],
        "key_id": key["id"], "client_id": key["id"],
    }  # fmt: skip
    assert claims["jti"]

    used = use(gateway, issued["access_token"], "scoped")
    told = dict(used.json()["headers"])
    assert used.status_code == 200, used.text
    assert {name: told[f"x-tollgate-{name}"] for name in ("subject", "consumer", "tenant", "plan", "key-id")} == {
        "subject": "acme", "consumer": "acme", "tenant": "acme-corp", "plan": "large", "key-id": key["id"]
    }  # fmt: skip
    assert "authorization" not in told


@pytest.mark.parametrize("client_id", ["id", "consumer"])
def test_the_key_is_sent_in_the_form_or_as_a_bearer(gateway: Gateway, client_id: str) -> None:
    key = made(gateway)
    named = {"id": key["id"], "consumer": "acme"}[client_id]
    form = post(gateway, {**GRANT, "client_id": named, "client_secret": key["key"]})
    bearer = post(gateway, GRANT, headers={"authorization": f"Bearer {key['key']}"})

    assert [answer.status_code for answer in (form, bearer)] == [200, 200]
    assert [use(gateway, answer.json()["access_token"]).status_code for answer in (form, bearer)] == [200, 200]
    assert "scope" not in form.json()


def test_a_scope_is_narrowed_and_never_widened(gateway: Gateway) -> None:
    key = made(gateway, "--scope", "email.send", "--scope", "email.read")
    narrow = token(gateway, key, scope="email.read")
    assert [use(gateway, narrow, path).status_code for path in ("open", "scoped")] == [200, 403]

    wide = post(gateway, {**GRANT, "client_id": key["id"], "client_secret": key["key"], "scope": "email.send admin"})
    assert (wide.status_code, wide.json()["error"]) == (400, "invalid_scope")


def test_what_is_wrong_with_a_key_is_one_answer(gateway: Gateway) -> None:
    key, revoked, short = made(gateway), made(gateway), made(gateway, "--expires", "1s")
    tollgate(gateway, "keys", "revoke", revoked["id"])
    until(lambda: time.time() > short["details"]["expires"])
    wrong = [
        (key["id"], made(gateway)["key"]),  # of another
        (key["id"], key["key"][:-1] + "0"),
        (key["id"], "nonsense"),
        ("somebody", key["key"]),
        (revoked["id"], revoked["key"]),
        (short["id"], short["key"]),
    ]
    answers = [post(gateway, GRANT, auth=httpx.BasicAuth(*pair)) for pair in wrong]

    assert {(answer.status_code, answer.text, answer.headers["www-authenticate"]) for answer in answers} == {
        (401, answers[0].text, 'Basic realm="tollgate"')
    }
    assert answers[0].json()["error"] == "invalid_client"
    assert {answer.headers["cache-control"] for answer in answers} == {"no-store"}


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        pytest.param({"data": {"grant_type": "password"}}, "unsupported_grant_type", id="grant"),
        pytest.param({"data": {}}, "invalid_request", id="no grant"),
        pytest.param({"json": GRANT}, "invalid_request", id="json"),
        pytest.param({"params": {"scope": "x"}}, "invalid_request", id="query"),
        pytest.param({"data": {**GRANT, "pad": "x" * 20_000}}, "invalid_request", id="large"),
        pytest.param({"data": {**GRANT, "client_id": "a", "client_secret": "b"}}, "invalid_request", id="two"),
        pytest.param({"content": b"grant_type=client_credentials&grant_type=client_credentials"}, "invalid_request",
                     id="twice"),
    ],
)  # fmt: skip
def test_a_request_that_is_none_is_refused_in_the_words_of_the_rfc(
    gateway: Gateway, changes: dict[str, Any], error: str
) -> None:
    key = made(gateway)
    content_type = {} if "json" in changes else {"content-type": "application/x-www-form-urlencoded"}
    with gateway.client(auth=httpx.BasicAuth(key["id"], key["key"]), headers=content_type) as client:
        bare = {} if changes.keys() & {"content", "json", "data"} else {"data": GRANT}
        answer = client.post("/oauth/token", **bare, **changes)

    assert (answer.status_code, answer.json()["error"]) == (400, error)
    assert answer.headers["cache-control"] == "no-store"


def test_another_method_is_refused(gateway: Gateway) -> None:
    with gateway.client() as client:
        answer = client.get("/oauth/token")
        assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
        assert client.post("/.well-known/jwks.json").status_code == 405


def test_a_key_for_other_addresses_gets_no_token_and_its_token_opens_nothing(gateway: Gateway) -> None:
    key = made(gateway, "--allow-ip", "192.0.2.0/24")
    answer = post(gateway, GRANT, auth=httpx.BasicAuth(key["id"], key["key"]), headers={"x-forwarded-for": "192.0.2.1"})
    minted = data(gateway, "token", "--key", key["id"])["token"]

    assert (answer.status_code, answer.json()["error"]) == (400, "unauthorized_client")
    refused = use(gateway, minted)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "address_not_allowed")


def test_a_token_dies_with_its_key(gateway: Gateway) -> None:
    key, other = made(gateway), made(gateway)
    living, kept = token(gateway, key), token(gateway, other)
    assert [use(gateway, item).status_code for item in (living, living, kept)] == [200, 200, 200]

    data(gateway, "keys", "revoke", key["id"])
    refused = use(gateway, living)
    assert (refused.status_code, refused.json()["error"]["code"]) == (401, "invalid_token")
    assert refused.headers["www-authenticate"].startswith("Bearer")
    assert use(gateway, kept).status_code == 200


def test_a_token_lives_no_longer_than_its_key(gateway: Gateway) -> None:
    key = made(gateway, "--expires", "60s")
    issued = post(gateway, GRANT, auth=httpx.BasicAuth(key["id"], key["key"])).json()

    assert 0 < issued["expires_in"] <= 60
    assert verified(gateway, issued["access_token"])[1]["exp"] == key["details"]["expires"]


def test_replaced_signing_keys_take_all_tokens_with_them(gateway: Gateway) -> None:
    key = made(gateway)
    old = token(gateway, key)
    assert use(gateway, old).status_code == 200

    replaced = data(gateway, "signing-keys", "replace")
    assert replaced["told"]["waiting"] == []
    refused = use(gateway, old)
    assert (refused.status_code, refused.json()["error"]["code"]) == (401, "invalid_token")
    new = token(gateway, key)
    assert use(gateway, new).status_code == 200
    assert verified(gateway, new)[0]["kid"] == replaced["kid"]


def test_other_listeners_have_no_such_endpoints(gateway: Gateway, elsewhere: int) -> None:
    key = made(gateway)
    there = f"http://127.0.0.1:{elsewhere}"
    forged = {"x-tollgate-listener": "public"}
    answers = [
        httpx.post(
            f"{there}/oauth/token",
            data=GRANT,
            auth=(key["id"], key["key"]),
            headers=forged,
            trust_env=False,
            verify=False,
        ),
        httpx.get(f"{there}/.well-known/jwks.json", headers=forged, trust_env=False, verify=False),
        httpx.get(f"{there}/.well-known/openid-configuration", trust_env=False, verify=False),
    ]

    assert [(answer.status_code, answer.json()["error"]["code"]) for answer in answers] == [
        (404, "route_not_found")
    ] * 3


def test_a_forged_token_is_refused(gateway: Gateway) -> None:
    issued = token(gateway, made(gateway))
    header, payload, signature = issued.split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    forged = base64.urlsafe_b64encode(json.dumps({**claims, "scope": "email.send"}).encode()).rstrip(b"=").decode()
    kid = jwt.get_unverified_header(issued)["kid"]
    plain = jwt.encode(claims, "x" * 40, "HS256", headers={"kid": kid, "typ": "at+jwt"})

    assert [use(gateway, item).status_code for item in (f"{header}.{forged}.{signature}", plain)] == [401, 401]


def test_a_token_is_minted_for_development(gateway: Gateway) -> None:
    data(gateway, "consumers", "create", "developer")
    scopes = ("--scope", "email.send", "--scope", "email.read")
    key = data(gateway, "keys", "create", "--consumer", "developer", *scopes)
    done = tollgate(gateway, "token", "--consumer", "developer", "--scope", "email.send", "--lifetime", "30s")

    assert (done.exit_code, key["id"] in done.stderr) == (0, True)
    minted = done.stdout.strip()
    claims = verified(gateway, minted)[1]
    assert (claims["key_id"], claims["scope"], claims["exp"] - claims["iat"]) == (key["id"], "email.send", 30)
    assert use(gateway, minted, "scoped").status_code == 200


@pytest.mark.parametrize(
    ("arguments", "code", "complaint"),
    [
        pytest.param((), 2, "--consumer", id="nobody"),
        pytest.param(("--consumer", "nobody"), 1, "has no key that works", id="no consumer"),
        pytest.param(("--key", "000000000000"), 1, "no stored key", id="no key"),
        pytest.param(("--consumer", "acme", "--lifetime", "6m"), 2, "--lifetime", id="long"),
        pytest.param(("--consumer", "acme", "--scope", "no.such"), 1, "does not hold 'no.such'", id="scope"),
    ],
)
def test_what_cannot_be_minted_is_said_with_its_cure(
    gateway: Gateway, arguments: tuple[str, ...], code: int, complaint: str
) -> None:
    made(gateway)
    done = tollgate(gateway, "token", *arguments)

    assert (done.exit_code, done.stdout) == (code, "")
    assert complaint in done.stderr


def test_the_same_by_http_with_the_admin_token_alone(gateway: Gateway) -> None:
    key = made(gateway)
    asked = {"key": key["id"], "lifetime": 20}
    with httpx.Client(base_url=gateway.admin_url, trust_env=False, verify=False) as http:
        anybody = [http.post("/tokens", json=asked), http.post("/signing-keys/replace")]
        http.headers["authorization"] = f"Bearer {gateway.admin_token()}"
        minted = http.post("/tokens", json=asked).json()
        refused = [http.post("/tokens", json=body) for body in ({}, {"key": "nobody"}, {**asked, "lifetime": 301})]

        assert [answer.status_code for answer in anybody] == [401, 401]
        assert [answer.status_code for answer in refused] == [400, 404, 400]
        assert (minted["key"], minted["consumer"]) == (key["id"], "acme")
        assert use(gateway, minted["token"]).status_code == 200
        assert http.post("/signing-keys/replace").json()["told"]["services"] == 1
        assert use(gateway, minted["token"]).status_code == 401


def test_no_signing_key_or_token_is_in_a_log_or_readable_on_the_disk(gateway: Gateway) -> None:
    key = made(gateway)
    issued = token(gateway, key)
    assert use(gateway, issued).status_code == 200
    row = until(lambda: next((row for row in gateway.access_log() if row["route"] == "tollgate:oauth"), None))

    logs = "".join(file.read_text() for file in (gateway.folder / "state" / "logs").glob("*.log"))
    assert row["path"].startswith(("/oauth", "/.well-known"))
    assert not SECRET.search(logs)
    kept = [file for file in (gateway.folder / "state").rglob("*") if file.is_file() and "log" not in file.parts]
    assert not [str(file) for file in kept if issued.encode() in file.read_bytes()]
    assert all(file.stat().st_mode & 0o077 == 0 for file in kept if file.name.startswith(("users.", "authz_service.")))


def test_tokens_are_given_and_taken_while_the_control_plane_is_dead(upstream: Upstream, tmp_path: Path) -> None:
    """Beside an issuer whose tokens Envoy judges by itself."""
    bare = content(upstream, 0)
    bare.pop("more_listeners")
    (tmp_path / "jwks.json").write_text(jwks(rsa_jwk()))
    bare["identity"]["jwt"] = [
        {"name": "login", "issuer": "https://login.example.com", "audiences": [AUDIENCE], "algorithms": ["RS256"],
         "keys": {"file": str(tmp_path / "jwks.json")}, "enforce": "envoy"}
    ]  # fmt: skip
    with running_gateway(bare) as gateway:
        key = made(gateway)
        token(gateway, key)
        now = int(time.time())
        login = signed(iss="https://login.example.com", aud=AUDIENCE, iat=now, exp=now + 300)
        answer = use(gateway, login)
        assert answer.status_code == 200
        # Nobody was asked.
        assert gateway.logged(answer.headers["x-request-id"])["decision"] in {None, "-"}
        database = gateway.folder / "state" / "users.sqlite"
        gateway.file.write_text("nonsense: [")  # it does not come back as it was
        for file in database.parent.glob("users.sqlite*"):
            file.unlink()
        database.mkdir()
        gateway.kill("control_plane")
        issued = token(gateway, key)
        assert use(gateway, issued).status_code == 200

        gateway.kill("authz_service")
        until(lambda: _served(gateway, issued))
        assert use(gateway, token(gateway, key)).status_code == 200


def test_an_address_asks_no_more_often_than_it_may(upstream: Upstream) -> None:
    """Whoever asks costs the authorizer time that decisions need."""
    bare = content(upstream, 0)
    bare.pop("more_listeners")
    with running_gateway(bare) as gateway, gateway.client() as client:
        # Twice the limit, and more: Envoy fills up once a minute, which may be in between.
        answers = (client.get("/.well-known/jwks.json") for _ in range(1_500))
        refused = next(answer for answer in answers if answer.status_code != 200)

        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "rate_limited")
        assert int(refused.headers["retry-after"]) <= 60
        assert client.post("/oauth/token", data=GRANT).status_code == 429
        assert client.get("/anything").status_code == 200


def _served(gateway: Gateway, issued: str) -> bool:
    return use(gateway, issued).status_code == 200 and _answers(f"{gateway.url}/.well-known/jwks.json")


def test_the_running_configuration_differs_from_its_file_in_nothing(gateway: Gateway) -> None:
    done = tollgate(gateway, "diff", str(gateway.file))

    assert (done.exit_code, done.stderr) == (0, ""), done.stdout
    assert "nothing would change" in done.stdout
    assert not SECRET.search(json.dumps(gateway.status()))
    assert "private" not in tollgate(gateway, "history").stdout
