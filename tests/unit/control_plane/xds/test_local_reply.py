"""Every error has a shape of its own, and each is found before a more general one."""

import pytest

from control_plane.xds.local_reply import REPLIES, Reply, local_reply_config
from service_kit import contract

CODES = [reply.code for reply in REPLIES]


def place(code: str, **fields: object) -> int:
    return next(
        number
        for number, reply in enumerate(REPLIES)
        if reply.code == code and all(getattr(reply, name) == value for name, value in fields.items())
    )


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        pytest.param("upstream_timeout", "upstream_unreachable", id="a-last-try-that-timed-out-has-both-flags"),
        pytest.param("authorization_unavailable", "not_ready", id="a-dead-authorizer"),
        pytest.param("limiter_unavailable", "not_ready", id="a-dead-limiter"),
        pytest.param("route_changed", "forbidden", id="the-guard"),
        pytest.param("upgrade_not_allowed", "forbidden", id="an-upgrade"),
        pytest.param("upstream_overloaded", "not_ready", id="an-overload"),
        pytest.param("ip_not_allowed", "forbidden", id="an-address"),
        pytest.param("origin_not_allowed", "forbidden", id="a-page"),
        pytest.param("body_not_rewritten", "forbidden", id="a-body"),
        pytest.param("concurrency_limited", "not_ready", id="a-slow-upstream"),
        pytest.param("fault_injected", "upstream_unreachable", id="trouble-on-purpose"),
        pytest.param("not_ready", "error", id="the-rest"),
    ],
)
def test_the_special_case_comes_first(earlier: str, later: str) -> None:
    assert place(earlier) < place(later)


def test_the_last_takes_every_error() -> None:
    assert REPLIES[-1] == Reply("error", "%LOCAL_REPLY_BODY%", at_least=400)


def test_denials_of_the_authorizer_keep_their_body_and_its_failures_do_not() -> None:
    first, kept, *_ = local_reply_config().mappers

    assert (first.status_code, REPLIES[0].at_least) == (503, 500)
    assert kept.status_code is None
    assert kept.body_format_override
    source = kept.body_format_override.text_format_source
    assert source
    assert source.inline_string == "%LOCAL_REPLY_BODY%"


def test_every_reply_has_the_one_shape() -> None:
    mappers = [item for number, item in enumerate(local_reply_config().mappers) if number not in (1, 2)]

    assert len(mappers) == len(REPLIES)
    for mapper, reply in zip(mappers, REPLIES, strict=True):
        assert mapper.body_format_override
        assert mapper.body_format_override.json_format
        (error,) = mapper.body_format_override.json_format.to_dict().values()
        told = {"quota": error.get("quota")} if reply.quota else {}
        assert error == {"code": reply.code, "message": reply.message, "request_id": "%REQ(x-request-id)%", **told}


def test_a_quota_is_no_rate_limit() -> None:
    of_the_fleet = REPLIES[place("rate_limited", limit_kind="limit")]

    assert contract.LIMIT_NAMESPACE in of_the_fleet.message
