import pytest

from tests.support.authz import Gate, api_key, gate, key_of, key_policy

KEY = key_of("k1").text


def asked(plan: str, **demands: str) -> tuple[Gate, str]:
    at = gate(key_policy(api_key(plan=plan)))
    return at, at.use(KEY, **demands).code


@pytest.mark.parametrize(
    ("plan", "plans", "code"),
    [
        ("pro", "pro", "ok"),
        ("pro", "free pro", "ok"),
        ("free", "pro", "missing_plan"),
        ("", "pro", "missing_plan"),
        ("pro", "", "ok"),
        ("", "-", "missing_plan"),
        ("pro", "prox", "missing_plan"),
    ],
)
def test_a_route_may_be_for_some_plans(plan: str, plans: str, code: str):
    assert asked(plan, plans=plans)[1] == code


def test_a_refusal_names_what_is_missing_and_nothing_else():
    at = gate(key_policy(api_key(plan="free")))
    message = at.use(KEY, plans="pro").error["message"]

    assert "pro" in message
    assert "free" not in message


@pytest.mark.parametrize(
    ("demands", "would_deny"),
    [
        ({"plans": "pro"}, ["missing_plan"]),
        ({"plans": "pro", "scopes": "a", "roles": "r"}, ["missing_plan", "missing_scope", "missing_role"]),
        ({"plans": "free"}, None),
    ],
)
def test_what_is_reported_is_logged_and_counted_and_passes(demands: dict[str, str], would_deny: list[str] | None):
    at, code = asked("free", mode="report", **demands)

    (line,) = at.log_lines()
    assert (code, line["outcome"], line.get("would_deny")) == ("ok", "allow", would_deny)
    assert line["level"] == ("info" if would_deny else "debug")
    counted = {name: at.count("tollgate_authz_would_deny_total", code=name) for name in would_deny or ()}
    assert set(counted.values()) <= {1.0}
    assert at.use(KEY, mode="report", **demands).metadata.get("would_deny") == (
        " ".join(would_deny) if would_deny else None
    )


def test_who_somebody_is_is_never_only_reported():
    at = gate(key_policy(api_key(plan="gone")))

    assert at.use("wrong", mode="report").code == "unknown_api_key"
    assert at.use("", mode="report").code == "missing_credential"
    assert at.use(KEY, mode="report").code == "unknown_plan"
