"""What Envoy reads: headers, metadata, one status a descriptor, and the gRPC status of what cannot be decided."""

from dataclasses import replace

import grpc
import pytest
from envoy.service.ratelimit.v3 import rls_pb2
from google.protobuf.json_format import MessageToDict

from ratelimit_service.answers import Failure, acknowledgement, answer
from ratelimit_service.applying import Unknown
from ratelimit_service.claims import Calendar, CalendarUnit, InFlight
from ratelimit_service.cost import Cost, Missing
from ratelimit_service.descriptors import Ask, End
from ratelimit_service.limiter import (
    Admitted,
    Refused,
    Repeated,
    Standing,
    TooDear,
    Unavailable,
    Unheld,
    Unidentified,
)
from ratelimit_service.policy import CONCURRENT, Dimension, Rule
from ratelimit_service.windows import MICROSECONDS, Window
from service_kit.metering import Prices, Tokens

ASK = Ask("email", "alice", "acme", "mailer", None)
CALL = Cost(1)
CHAT = Cost(1, answers=2, tokens=Tokens(100, 600), prices=Prices(10_000_000, 30_000_000))
DECEMBER = 1_764_547_200  # 2025-12-01T00:00:00Z
DOLLAR = 10**9


def rule(amount=30, seconds=60, *per, name="email:minute:subject", usage="requests"):
    return Rule("route/email", name, usage, Window(amount, seconds * MICROSECONDS), per or (Dimension.SUBJECT,))


def quota(usage, amount, unit=CalendarUnit.MONTH, *per):
    return Rule("plan/free", f"free:{usage}", usage, Calendar(amount, unit), per or (Dimension.CONSUMER,))


def standing(found, used, *, amount=1, reset=7, retry=12):
    return Standing(found, amount, used, found.limit, reset, retry, DECEMBER if found.is_quota else 0)


MINUTE = standing(rule(), 30)
HOUR = standing(rule(100, 3600, name="hour"), 100, reset=5, retry=1800)
EMAILS = standing(quota("email", 100), 100, reset=9000, retry=9000)
AT_ONCE = Rule("plan/free", "at-once", CONCURRENT, InFlight(5, MICROSECONDS), (Dimension.CONSUMER,))


def parsed(ask, decision):
    raw = answer(ask, decision)
    assert isinstance(raw, bytes)
    return rls_pb2.RateLimitResponse.FromString(raw)


def headers(response):
    return {header.key: header.value for header in response.response_headers_to_add}


def metadata(decision):
    response = parsed(ASK, decision)
    assert response.overall_code == rls_pb2.RateLimitResponse.OVER_LIMIT
    return MessageToDict(response.dynamic_metadata)


def test_an_admitted_call_shows_the_tightest_rule():
    response = parsed(ASK, Admitted(standing(rule(), 1, reset=61, retry=0)))

    assert response.overall_code == rls_pb2.RateLimitResponse.OK
    assert headers(response) == {
        "ratelimit-limit": "30",
        "ratelimit-remaining": "29",
        "ratelimit-reset": "61",
        "ratelimit-policy": "30;w=60",
    }
    assert MessageToDict(response.dynamic_metadata) == {}


def test_a_limit_of_tokens_says_what_it_counts():
    response = parsed(ASK, Admitted(standing(rule(1000, usage="tokens"), 400)))

    assert headers(response)["ratelimit-policy"] == "1000;w=60;unit=tokens"


def test_a_call_of_a_model_shows_what_is_left_of_requests_and_of_tokens():
    tokens = standing(rule(1000, usage="tokens"), 400, reset=9)
    left = (standing(rule(), 1, reset=61), tokens)

    for decision in (Admitted(left[0], of_model=left), Refused(left[0], tokens, CHAT, of_model=left)):
        found = headers(parsed(ASK, decision))
        assert {name: value for name, value in found.items() if name.startswith("x-")} == {
            "x-ratelimit-limit-requests": "30",
            "x-ratelimit-remaining-requests": "29",
            "x-ratelimit-reset-requests": "61s",
            "x-ratelimit-limit-tokens": "1000",
            "x-ratelimit-remaining-tokens": "600",
            "x-ratelimit-reset-tokens": "9s",
        }


def test_a_call_without_rules_has_no_headers():
    response = parsed(ASK, Admitted())

    assert response.overall_code == rls_pb2.RateLimitResponse.OK
    assert headers(response) == {}


def test_a_call_is_warned_of_what_is_almost_spent():
    response = parsed(ASK, Admitted(warnings=(standing(quota("email", 100), 80),)))
    money = parsed(ASK, Admitted(warnings=(standing(quota("usd", 5 * DOLLAR), 4_020_000_000),)))

    assert headers(response) == {"quota-warning": "free:email; used=80; limit=100; resets=2025-12-01T00:00:00Z"}
    assert headers(money) == {"quota-warning": "free:usd; used=4.02; limit=5.00; resets=2025-12-01T00:00:00Z"}


def test_what_would_have_been_refused_is_in_the_metadata():
    response = parsed(ASK, Admitted(would_refuse=(rule(name="a"), rule(name="b"))))

    assert MessageToDict(response.dynamic_metadata) == {"would_refuse": "a,b"}


def test_what_an_answer_may_have_is_in_the_metadata():
    assert MessageToDict(parsed(ASK, Admitted(output=4096)).dynamic_metadata) == {"held": 4096}


def test_a_refused_call_whose_end_says_what_was_held_held_nothing():
    ask = replace(ASK, hold="h", numbers={"n": 1, "received": 5})

    assert MessageToDict(parsed(ask, Refused(None, EMAILS, CALL)).dynamic_metadata)["held"] == 0


def test_a_refused_call_says_when_and_why():
    response = parsed(ASK, Refused(tightest=MINUTE, longest=HOUR, cost=CALL))

    assert response.overall_code == rls_pb2.RateLimitResponse.OVER_LIMIT
    assert headers(response) == {
        "ratelimit-limit": "30",
        "ratelimit-remaining": "0",
        "ratelimit-reset": "7",
        "ratelimit-policy": "30;w=60",
        "retry-after": "1800",
    }
    assert MessageToDict(response.dynamic_metadata) == {
        "kind": "limit",
        "rule": "hour",
        "remaining": 0,
        "message": "The limit of 100 requests per hour for this subject is used up: retry in 1800 s (rule hour).",
    }
    assert response.raw_body == b""


def test_a_spent_quota_is_told_as_data():
    decision = Refused(None, EMAILS, CALL)

    assert headers(parsed(ASK, decision)) == {"retry-after": "9000"}
    assert metadata(decision) == {
        "kind": "quota",
        "rule": "free:email",
        "remaining": 0,
        "message": "The quota of 100 email per month for this consumer is used up: "
        "retry after 2025-12-01T00:00:00Z (rule free:email).",
        "usage": "email",
        "used": 100,
        "limit": 100,
        "window": "month",
        "resets_at": "2025-12-01T00:00:00Z",
    }


def test_money_is_told_in_dollars():
    told = metadata(Refused(None, standing(quota("usd", 5 * DOLLAR), 4_990_000_000, amount=19_000_000), CHAT))

    assert (told["used"], told["limit"], told["remaining"]) == (4.99, 5, 0.01)
    assert told["message"].startswith(
        "The quota of $5.00 per month for this consumer has $0.01 left, and this call may come to $0.019: "
        "retry after 2025-12-01T00:00:00Z, or ask for at most 150 tokens of output"
    )


def test_calls_under_way_end_at_any_moment():
    decision = Refused(None, standing(AT_ONCE, 5, retry=3600), CALL)

    assert headers(parsed(ASK, decision)) == {"retry-after": "1"}
    assert metadata(decision)["message"] == (
        "The limit of 5 calls at once for this consumer is reached: retry when one has ended (rule at-once)."
    )


def test_a_call_that_never_fits_is_told_what_would():
    tokens = rule(500, name="tokens", usage="tokens")
    decision = TooDear(tokens, 500, CHAT)

    assert headers(parsed(ASK, decision)) == {}
    assert metadata(decision) == {
        "kind": "request",
        "rule": "tokens",
        "usage": "tokens",
        "limit": 500,
        "message": "This call may come to 700 tokens, more than the whole limit of 500 tokens per minute for this "
        "subject: ask for at most 200 tokens of output (rule tokens).",
    }


def test_a_prompt_that_is_too_long_by_itself_is_to_be_shorter():
    assert "subject: send less input (rule" in metadata(TooDear(rule(90, usage="tokens"), 90, CHAT))["message"]


def test_a_call_without_its_size_is_told_which_number_is_wrong():
    assert metadata(Missing(("max_tokens", "n"))) == {
        "kind": "request",
        "message": "This route counts tokens, which `max_tokens` and `n` must tell: "
        "write a whole number from 0 to 1000000000.",
    }


def test_a_caller_that_cannot_be_counted_is_not_told_to_retry():
    decision = Unidentified(rule(5, 60, Dimension.TENANT, name="r"), Dimension.TENANT)

    assert headers(parsed(ASK, decision)) == {}
    assert metadata(decision) == {
        "kind": "caller",
        "rule": "r",
        "message": "Calls of this route are counted per tenant, and your credential names none: "
        "use one that does, or ask the operator (rule r).",
    }


@pytest.mark.parametrize(
    ("ask", "expected"),
    [
        pytest.param(ASK, 1, id="identity"),
        pytest.param(Ask("email", "alice", None, None, None, ip="::1"), 2, id="with-address"),
        pytest.param(Ask("email", "a", None, None, None, hold="h", numbers={"n": 1, "received": 5}), 4, id="metered"),
    ],
)
@pytest.mark.parametrize(
    "decision", [Admitted(), Refused(MINUTE, HOUR, CALL), Missing(("n",))], ids=["admitted", "refused", "mistaken"]
)
def test_every_descriptor_has_a_status(ask, expected, decision):
    response = parsed(ask, decision)

    assert [status.code for status in response.statuses] == [response.overall_code] * expected


def test_an_end_is_acknowledged():
    end = End("chat", "alice", None, None, None, hold="h", numbers={"sent": 5})
    response = rls_pb2.RateLimitResponse.FromString(acknowledgement(end))

    assert [response.overall_code] * 2 == [status.code for status in response.statuses]


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        pytest.param(rule(), "The limit of 30 requests per minute for this subject", id="minute"),
        pytest.param(rule(1, 1), "The limit of 1 request per second for this subject", id="one"),
        pytest.param(rule(5, 90), "The limit of 5 requests per 90 seconds for this subject", id="odd-period"),
        pytest.param(rule(5, 86400, Dimension.IP), "The limit of 5 requests per day for this address", id="address"),
        pytest.param(
            rule(5, 3600, Dimension.TENANT, Dimension.ROUTE),
            "The limit of 5 requests per hour for this tenant and this route",
            id="two-dimensions",
        ),
        pytest.param(rule(9, usage="tokens"), "The limit of 9 tokens per minute for this subject", id="tokens"),
        pytest.param(quota("requests", 1), "The quota of 1 request per month for this consumer", id="quota"),
        pytest.param(
            quota("tokens", 7, CalendarUnit.WEEK, Dimension.PLAN),
            "The quota of 7 tokens per week for this plan",
            id="quota-of-a-plan",
        ),
    ],
)
def test_message(found, expected):
    message = metadata(Refused(None, standing(found, found.limit), CALL))["message"]

    cure = "retry after 2025-12-01T00:00:00Z" if found.is_quota else "retry in 12 s"
    assert message == f"{expected} is used up: {cure} (rule {found.id})."


def test_what_is_left_and_too_little_is_told():
    calls = Refused(None, standing(rule(), 28, amount=5), Cost(5))
    tokens = Refused(None, standing(rule(1000, usage="tokens"), 700, amount=700), CHAT)

    assert "has 2 left, and this call counts as 5: retry in 12 s (" in metadata(calls)["message"]
    assert (
        "has 300 tokens left, and this call may come to 700 tokens: "
        "retry in 12 s, or ask for at most 100 tokens of output ("
    ) in metadata(tokens)["message"]


@pytest.mark.parametrize(
    ("decision", "code", "words"),
    [
        pytest.param(Unidentified(rule(), Dimension.IP), grpc.StatusCode.INVALID_ARGUMENT, "per ip", id="address"),
        pytest.param(Unheld("chat"), grpc.StatusCode.INVALID_ARGUMENT, "bring no hold", id="unheld"),
        pytest.param(Repeated("h1"), grpc.StatusCode.ALREADY_EXISTS, "the id 'h1'", id="repeated"),
        pytest.param(Unknown("plan", "gold"), grpc.StatusCode.UNAVAILABLE, "plan 'gold'", id="unknown"),
        pytest.param(Unavailable("no answer"), grpc.StatusCode.UNAVAILABLE, "no answer", id="unavailable"),
    ],
)
def test_what_cannot_be_decided_is_a_failure(decision, code, words):
    failure = answer(ASK, decision)

    assert isinstance(failure, Failure)
    assert failure.code is code
    assert words in failure.details
