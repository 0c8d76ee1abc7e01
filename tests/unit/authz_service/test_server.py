from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import grpc
import pytest
from envoy.service.auth.v3 import external_auth_pb2 as auth_pb

from authz_service.server import METHOD
from service_kit.contract import AUTHZ_POLICY_NAME, AUTHZ_POLICY_TYPE, LIMIT_SET_TYPE
from service_kit.subscription import PolicyRejected
from tests.support.authz import (
    BEARER,
    ISSUER,
    ROUTE,
    Answer,
    Gate,
    bearer,
    check_request,
    gate,
    jwks,
    policy,
    rsa_issuer,
    rsa_jwk,
    signed,
)

FIRST_ID = "00000000-0000-4000-8000-000000000001"
HEADERS = [("authorization", f"Bearer {BEARER}"), ("x-request-id", "r-1")]


def test_without_a_policy_nothing_passes():
    answer = Gate().present(BEARER)

    assert (answer.status, answer.code) == (503, "not_ready")


def test_a_rejected_policy_leaves_the_one_before_and_its_tokens():
    at = gate()
    at.present(signed())
    with pytest.raises(PolicyRejected):
        at.apply(policy(default_plan="gold"))

    assert at.present(signed()).allowed
    assert at.count("tollgate_authz_token_cache_total", result="hit") == 1


def test_a_removed_policy_refuses_all():
    at = gate()
    at.authorizer.apply(AUTHZ_POLICY_TYPE, {}, [AUTHZ_POLICY_NAME])

    assert at.present(BEARER).code == "not_ready"


def test_other_names_that_go_change_nothing():
    at = gate()
    at.authorizer.apply(AUTHZ_POLICY_TYPE, {}, ["other"])

    assert at.present(BEARER).allowed


@pytest.mark.parametrize(
    ("type_url", "changed"),
    [
        pytest.param(LIMIT_SET_TYPE, {AUTHZ_POLICY_NAME: b""}, id="another-type"),
        pytest.param(AUTHZ_POLICY_TYPE, {"other": b""}, id="another-name"),
        pytest.param(AUTHZ_POLICY_TYPE, {AUTHZ_POLICY_NAME: b"", "other": b""}, id="one-name-too-many"),
    ],
)
def test_a_policy_that_is_not_the_authorizers_is_rejected(type_url: str, changed: dict[str, bytes]):
    at = gate()
    with pytest.raises(PolicyRejected):
        at.authorizer.apply(type_url, changed, ())

    assert at.present(BEARER).allowed


def test_a_skew_is_refused_and_its_cause_logged():
    at = gate()
    answer = at.answer(check_request(HEADERS, {**ROUTE, "models": "x"}))

    assert (answer.status, answer.code, answer.error["request_id"]) == (503, "policy_skew", "r-1")
    assert "demand of a kind" in at.log_lines()[0]["reason"]


def test_every_identity_header_is_overwritten_and_the_credential_removed():
    response = gate().answer(check_request(HEADERS)).message.ok_response

    assert {option.append_action for option in response.headers} == {2}  # OVERWRITE_IF_EXISTS_OR_ADD
    assert list(response.headers_to_remove) == ["authorization"]


def test_the_identity_is_in_the_metadata_too():
    answer = gate().present(signed(org="acme"))

    assert dict(answer.message.dynamic_metadata.items()) == {
        "subject": "ada",
        "tenant": "acme",
        "consumer": "ada",
        "plan": "-",
        "key_id": "k1",
        "models": "-",
        "profile": "p1",
        "decision_id": FIRST_ID,
    }


def test_the_profile_is_the_routes_own():
    at = gate()

    assert [at.present(BEARER, profile=name).part("profile") for name in ("p1", "p2", "p1")] == ["p1", "p2", "p1"]


def test_a_refusal_is_json_with_the_request_id():
    answer = gate().answer(check_request([("x-request-id", 'r"1')]))

    assert answer.headers["content-type"] == "application/json"
    assert answer.error.keys() == {"code", "message", "request_id"}
    assert answer.error["request_id"] == 'r"1'


def test_a_decision_is_one_log_line():
    at = gate()
    at.answer(check_request(HEADERS))
    at.answer(check_request(HEADERS, {**ROUTE, "scopes": "a"}))
    at.answer(check_request([("x-request-id", "r-2")]))

    ids = [line.pop("decision_id") for line in at.log_lines()]
    common = {"event": "decision", "route": "email"}
    caller = {"subject": "default", "consumer": "default", "plan": "-", "key_id": "default", "kind": "bearer"}
    caller["request_id"] = "r-1"
    nobody = {"subject": "-", "consumer": "-", "plan": "-", "key_id": "-", "kind": "-", "request_id": "r-2"}
    assert len({UUID(id_) for id_ in ids}) == 3
    assert [{key: line[key] for key in line if key != "decision_id"} for line in at.log_lines()] == [
        {**common, **caller, "level": "debug", "outcome": "allow"},
        {**common, **caller, "level": "info", "outcome": "deny", "code": "missing_scope", "reason": ""},
        {**common, **nobody, "level": "info", "outcome": "deny", "code": "missing_credential", "reason": ""},
    ]


@pytest.mark.parametrize(
    "value",
    [f"Bearer {BEARER}", f"Bearer  {BEARER}", f"Token {BEARER}", f"Bearer {BEARER} {BEARER}", BEARER],
)
def test_no_credential_is_ever_logged_or_answered(value: str):
    at = gate()
    answer = at.ask(value)

    assert BEARER not in at.logged.getvalue()
    assert BEARER not in str(answer.message)


def test_every_decision_has_an_id_of_its_own():
    at = gate()
    allowed, denied, skewed = at.present(BEARER), at.ask(), at.answer(b"\xff")

    ids = [answer.metadata["decision_id"] for answer in (allowed, denied, skewed)]
    assert len(set(ids)) == 3
    assert ids == [line["decision_id"] for line in at.log_lines()]
    shown = [answer.headers.get("x-tollgate-decision-id") for answer in (allowed, denied, skewed)]
    assert shown == [None, *ids[1:]]


def test_decisions_are_counted():
    at = gate()
    at.present(BEARER)
    at.present("nope")
    at.answer(b"\xff")

    count = "tollgate_authz_decisions_total"
    assert at.count(count, outcome="allow", code="ok") == 1
    assert at.count(count, outcome="deny", code="unknown_token") == 1
    assert at.count(count, outcome="error", code="policy_skew") == 1
    assert at.count("tollgate_authz_decision_seconds_count") == 3


class BrokenClock:
    """A clock that fails where a decision needs it."""

    def now(self) -> float:
        raise OSError("no clock")

    def monotonic(self) -> float:
        return 0.0


def test_a_fault_of_ours_is_a_refusal_logged_once_with_its_traceback():
    at = gate()
    at.authorizer._clock = BrokenClock()
    answer = at.present(BEARER)

    assert (answer.status, answer.code) == (503, "authorizer_failed")
    assert at.count("tollgate_authz_decisions_total", outcome="error", code="authorizer_failed") == 1
    (line,) = at.log_lines()
    assert (line["level"], line["code"]) == ("error", "authorizer_failed")
    assert "no clock" in line["exception"]
    assert BEARER not in at.logged.getvalue()


@pytest.fixture
async def channel(tmp_path: Path) -> AsyncIterator[grpc.aio.Channel]:
    """A channel to the service on a Unix socket."""
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((gate(policy(bearer_tokens=[bearer(subject="zoë")])).service,))
    server.add_insecure_port(f"unix:{tmp_path}/a.sock")
    await server.start()
    async with grpc.aio.insecure_channel(f"unix:{tmp_path}/a.sock") as channel:
        yield channel
    await server.stop(None)


async def test_the_service_answers_over_grpc(channel: grpc.aio.Channel):
    check = channel.unary_unary(METHOD, response_deserializer=auth_pb.CheckResponse.FromString)

    assert Answer(await check(check_request(HEADERS))).part("subject") == "zo%C3%AB"
    assert Answer(await check(check_request())).code == "missing_credential"
    assert Answer(await check(b"\xff\xff")).code == "policy_skew"


async def test_other_methods_do_not_exist(channel: grpc.aio.Channel):
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await channel.unary_unary(METHOD + "s")(b"")

    assert error.value.code() == grpc.StatusCode.UNIMPLEMENTED


async def test_a_token_with_a_key_that_is_new_is_judged_again():
    """Once, by the policy that came meanwhile; nothing of the first verdict is told."""
    at = gate(policy(jwt=[rsa_issuer(fetched=True, jwks=jwks(rsa_jwk("k1"), rsa_jwk("k2")))]))
    asked: list[str] = []

    async def newer(issuer: str) -> bool:
        asked.append(issuer)
        at.apply(policy(jwt=[rsa_issuer(fetched=True, jwks=jwks(rsa_jwk("k3")))]))
        return True

    at.service._newer_keys = newer
    fresh = check_request([("authorization", f"Bearer {signed({'kid': 'k3'}, key='k3')}")])
    gone = check_request([("authorization", f"Bearer {signed({'kid': 'k1'})}")])

    assert Answer(auth_pb.CheckResponse.FromString(await at.service.answer_by_newest_keys(fresh))).allowed
    assert (
        Answer(auth_pb.CheckResponse.FromString(await at.service.answer_by_newest_keys(gone))).code == "invalid_token"
    )
    assert asked == [ISSUER, ISSUER]
    assert at.count("tollgate_authz_decisions_total", outcome="allow", code="ok") == 1
    assert at.count("tollgate_authz_decisions_total", outcome="deny", code="invalid_token") == 1


async def test_a_fault_in_asking_is_a_refusal():
    at = gate(policy(jwt=[rsa_issuer(fetched=True, jwks=jwks(rsa_jwk("k1"), rsa_jwk("k2")))]))

    async def newer(_issuer: str) -> bool:
        raise ZeroDivisionError

    at.service._newer_keys = newer
    request = check_request([("authorization", f"Bearer {signed({'kid': 'new'})}")])

    assert Answer(auth_pb.CheckResponse.FromString(await at.service.answer_by_newest_keys(request))).status == 503
