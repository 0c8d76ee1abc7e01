import pytest

from tests.support.authz import BEARER, bearer, gate, policy, signed
from tollgate_pb.tollgate.policy.v1 import policy_pb2 as policy_pb

PRO = policy_pb.Consumer(name="acme", plan="pro", tenant="acme-inc")
BARE = policy_pb.Consumer(name="acme")


@pytest.mark.parametrize(
    ("consumer", "own", "default", "plan"),
    [
        pytest.param(PRO, "free", "free", "pro", id="a-declared-consumer-first"),
        pytest.param(BARE, "pro", "free", "pro", id="then-the-credential"),
        pytest.param(BARE, "", "free", "free", id="then-the-default"),
        pytest.param(BARE, "", "", "-", id="none-is-allowed"),
    ],
)
def test_the_plan_comes_from(consumer: policy_pb.Consumer, own: str, default: str, plan: str):
    token = bearer(consumer="acme", plan=own)
    answer = gate(policy(bearer_tokens=[token], consumers=[consumer], default_plan=default)).present(BEARER)

    assert answer.part("plan") == plan


@pytest.mark.parametrize(
    ("consumer", "tenant"), [pytest.param(PRO, "acme-inc", id="declared"), pytest.param(BARE, "own", id="credential")]
)
def test_the_tenant_comes_from(consumer: policy_pb.Consumer, tenant: str):
    token = bearer(consumer="acme", tenant="own")

    assert gate(policy(bearer_tokens=[token], consumers=[consumer])).present(BEARER).part("tenant") == tenant


def test_a_subject_is_its_own_consumer():
    assert gate(policy(consumers=[PRO])).present(signed(sub="ada")).part("consumer") == "ada"


def test_a_subject_that_is_called_like_a_declared_consumer_does_not_become_it():
    answer = gate(policy(consumers=[PRO])).present(signed(sub="acme", plan="free"))

    assert {part: answer.part(part) for part in ("subject", "consumer", "tenant", "plan")} == {
        "subject": "acme", "consumer": "-", "tenant": "-", "plan": "free",
    }  # fmt: skip


@pytest.mark.parametrize("plan", ["gold", "PRO", "pro ", "pro%20"])
def test_a_plan_that_nobody_declared_is_refused(plan: str):
    answer = gate().present(signed(plan=plan))

    assert (answer.status, answer.code) == (403, "unknown_plan")


def test_the_plan_of_a_bearer_token_must_be_declared_too():
    assert gate(policy(bearer_tokens=[bearer(plan="gold")])).present(BEARER).code == "unknown_plan"


def test_a_plan_that_left_the_policy_is_refused():
    at = gate()
    assert at.present(signed(plan="pro")).allowed
    at.apply(policy(plans=["free"]))

    assert at.present(signed(plan="pro")).code == "unknown_plan"
