"""What must have been told beside the policy: for which credentials, and what is answered while it was not."""

import pytest

from authz_service.needs import needs
from authz_service.policy import parse_policy
from service_kit.contract import BESIDE_TYPES, CONSUMER_TYPE, IDENTITY_TYPES
from tests.support.authz import BEARER, Gate, bearer, claim_names, key_of, key_policy, policy, rsa_issuer, signed
from tollgate_pb.tollgate.policy.v1 import policy_pb2 as policy_pb

NOTHING, CONSUMERS, KEYS, ALL = (frozenset(types) for types in ((), (CONSUMER_TYPE,), IDENTITY_TYPES, BESIDE_TYPES))
NAMED = [bearer(consumer="acme")]
CERTIFICATES = policy_pb.MtlsSettings(
    subject=policy_pb.CERTIFICATE_NAME_DNS, clients=[policy_pb.MtlsClient(name="*.acme.com", consumer="acme")]
)
TOKENS = policy_pb.GatewayTokens(issuer="https://gateway", audiences=["g"], lifetime_seconds=300)
BY_CLAIM = [rsa_issuer(claims=claim_names(consumer="azp"))]
DECLARED = [policy_pb.Consumer(name="acme")]


@pytest.mark.parametrize(
    ("message", "needed"),
    [
        pytest.param(policy(), [NOTHING, NOTHING, NOTHING], id="no-consumers"),
        pytest.param(policy(bearer_tokens=NAMED, consumers=DECLARED), [NOTHING, NOTHING, NOTHING], id="declared"),
        pytest.param(policy(bearer_tokens=NAMED), [NOTHING, CONSUMERS, CONSUMERS], id="of-a-bearer-token"),
        pytest.param(policy(mtls=CERTIFICATES), [NOTHING, CONSUMERS, CONSUMERS], id="of-a-certificate"),
        pytest.param(policy(jwt=BY_CLAIM), [NOTHING, CONSUMERS, CONSUMERS], id="of-a-claim"),
        pytest.param(key_policy(), [KEYS, CONSUMERS, CONSUMERS], id="keys"),
        pytest.param(key_policy(tokens=TOKENS), [KEYS, ALL, CONSUMERS], id="tokens"),
    ],
)
def test_what_a_policy_needs(message: policy_pb.AuthzPolicy, needed: list[frozenset[str]]):
    found = needs(parse_policy(message.SerializeToString()))

    assert [found[kind] for kind in ("api_key", "jwt", "bearer")] == needed
    assert found["mtls"] == found["bearer"]
    assert set(Gate(told=False).apply(message).authorizer.awaits) == frozenset().union(*needed)


def test_without_a_policy_nothing_is_awaited():
    assert set(Gate(told=False).authorizer.awaits) == set()


def test_who_needs_none_is_served_before_anything_was_told():
    assert Gate(told=False).apply(policy()).present(BEARER).allowed


def test_a_key_is_not_refused_for_good_before_keys_were_told():
    at = Gate(told=False).apply(key_policy())
    before = at.use(key_of("stored").text)
    for type_url in IDENTITY_TYPES:
        assert at.use(key_of("stored").text).code == "not_ready"
        at.authorizer.apply(type_url, {}, ())

    assert (before.status, before.code) == (503, "not_ready")
    assert at.log_lines()[0]["reason"] == "not_told"
    assert at.use(key_of("stored").text).code == "unknown_api_key"


def test_who_may_be_a_consumer_waits_for_the_stored_ones():
    """Else a consumer would be on the default plan, and a subject of that name would be taken for it."""
    at = Gate(told=False).apply(policy(jwt=BY_CLAIM))
    before = at.present(signed())
    at.authorizer.apply(CONSUMER_TYPE, {}, ())

    assert (before.status, at.present(signed()).allowed) == (503, True)
