from authz_service.case import Case, Check, Denial
from authz_service.identity import Grant
from authz_service.keys import Stored
from authz_service.pipeline import CHECKS, UNDECIDED, decide
from authz_service.policy import parse_policy
from authz_service.request import Ask, parse_ask
from authz_service.tokens import VerifiedTokens
from tests.support.authz import BEARER, NOW, check_request, policy


def case(*authorization: str) -> Case:
    ask = parse_ask(check_request([("authorization", value) for value in authorization]))
    assert isinstance(ask, Ask)
    return Case(ask, parse_policy(policy().SerializeToString()), VerifiedTokens(lambda _result: None), Stored(), NOW)


def test_a_verdict_keeps_what_was_found():
    verdict = decide(case(f"Bearer {BEARER}"))

    assert isinstance(verdict.outcome, Grant)
    assert verdict.case.grant == verdict.outcome
    assert verdict.case.credential is not None
    assert BEARER not in repr(verdict.case.credential)


def test_checks_that_all_pass_make_no_identity():
    assert decide(case(f"Bearer {BEARER}"), ()).outcome == UNDECIDED


def test_no_check_but_those_of_credentials_makes_an_identity():
    """Whichever single check were lost, a request without a credential is still refused."""
    for lost in CHECKS:
        outcome: Case | Denial = case()
        for check in CHECKS:
            if check is not lost and isinstance(outcome, Case):
                outcome = check(outcome)

        assert isinstance(outcome, Denial) or outcome.grant is None


def test_each_check_passes_a_case_it_has_nothing_to_say_about():
    bare = case()
    rules: tuple[Check, ...] = CHECKS[1:]

    assert [check(bare) for check in rules] == [bare] * len(rules)
