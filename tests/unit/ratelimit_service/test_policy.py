"""A change of policy is taken whole or refused with everything that is wrong."""

import pytest

from ratelimit_service.policy import Dimension, PolicyTable, Rule
from ratelimit_service.windows import Window
from service_kit.contract import AUTHZ_POLICY_TYPE, LIMIT_SET_TYPE
from service_kit.subscription import PolicyRejected
from tests.support.limits import IP, ROUTE, SUBJECT, limit, limit_set
from tollgate_pb.tollgate.policy.v1 import policy_pb2 as policy_pb

NEWER_FIELD = b"\x78\x01"  # field 15 as varint true


def table_with(changed):
    table = PolicyTable()
    table.apply(LIMIT_SET_TYPE, changed, ())
    return table


def test_a_set_becomes_rules():
    table = table_with({"route/email": limit_set(limit(30, 60, SUBJECT, IP, name="email:30"))})

    expected = Rule("route/email", "email:30", Window(30, 60_000_000), (Dimension.SUBJECT, Dimension.IP))
    assert table.current.of_route("email") == (expected,)
    assert (expected.requests, expected.period_seconds) == (30, 60)


def test_an_unknown_set_differs_from_an_empty_one():
    table = table_with({"route/email": limit_set(), "plan/free": limit_set()})

    assert table.current.of_route("email") == ()
    assert table.current.of_plan("free") == ()
    assert table.current.of_route("free") is None
    assert table.current.of_plan("email") is None


def test_a_change_keeps_what_it_does_not_name():
    table = table_with({"route/a": limit_set(limit(1, 1, SUBJECT)), "route/b": limit_set(), "route/c": limit_set()})

    table.apply(LIMIT_SET_TYPE, {"route/b": limit_set(limit(2, 1, ROUTE))}, ["route/c"])

    assert [rule.requests for rule in table.current.of_route("a")] == [1]
    assert [rule.requests for rule in table.current.of_route("b")] == [2]
    assert table.current.of_route("c") is None


def test_a_set_in_use_does_not_change_under_the_reader():
    table = table_with({"route/a": limit_set()})
    before = table.current

    table.apply(LIMIT_SET_TYPE, {}, ["route/a"])

    assert before.of_route("a") == ()


def test_one_bad_set_refuses_the_whole_change_and_names_every_fault():
    table = table_with({"route/a": limit_set()})
    before = table.current
    change = {
        "route/a": limit_set(limit(5, 1, SUBJECT)),
        "route/b": limit_set(limit(0, 1, SUBJECT, name="zero")),
        "plan/c": limit_set(limit(1, 0, SUBJECT, name="never")),
    }

    with pytest.raises(PolicyRejected) as refusal:
        table.apply(LIMIT_SET_TYPE, change, ["route/a"])

    assert table.current is before
    assert "route/b: limit 'zero'" in str(refusal.value)
    assert "plan/c: limit 'never'" in str(refusal.value)


@pytest.mark.parametrize(
    ("name", "raw", "reason"),
    [
        pytest.param("route/a", limit_set(limit(0, 60, SUBJECT)), "must allow", id="no-requests"),
        pytest.param("route/a", limit_set(limit(2**51, 60, SUBJECT)), "must allow", id="more-than-is-exact"),
        pytest.param("route/a", limit_set(limit(1, 0, SUBJECT)), "no period", id="no-period"),
        pytest.param("route/a", limit_set(limit(1, 60)), "per what", id="per-nothing"),
        pytest.param(
            "route/a", limit_set(limit(1, 60, policy_pb.DIMENSION_UNSPECIFIED)), "unknown dim", id="unspecified"
        ),
        pytest.param("route/a", limit_set(limit(1, 60, 99)), "unknown dimension", id="unknown-dimension"),
        pytest.param("route/a", limit_set(limit(1, 60, IP, IP)), "twice", id="dimension-twice"),
        pytest.param("route/a", limit_set(limit(1, 60, IP, name="")), "no id", id="no-id"),
        pytest.param("route/a", limit_set(limit(1, 60, IP), limit(1, 60, IP)), "appears twice", id="same-id"),
        pytest.param("route/a", b"\xff\xff", "not a LimitSet", id="not-protobuf"),
        pytest.param("route/a", NEWER_FIELD, "does not know", id="newer-set"),
        pytest.param(
            "route/a",
            limit_set(policy_pb.Limit.FromString(limit(1, 60, IP).SerializeToString() + NEWER_FIELD)),
            "does not know",
            id="newer-limit",
        ),
        pytest.param("email", limit_set(), "no name of a limit set", id="name-without-kind"),
        pytest.param("route/", limit_set(), "no name of a limit set", id="kind-without-name"),
    ],
)
def test_refused(name, raw, reason):
    with pytest.raises(PolicyRejected, match=reason):
        PolicyTable().apply(LIMIT_SET_TYPE, {name: raw}, ())


def test_another_type_is_refused():
    with pytest.raises(PolicyRejected, match="AuthzPolicy"):
        PolicyTable().apply(AUTHZ_POLICY_TYPE, {}, ())
