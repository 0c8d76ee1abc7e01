"""What the services are told: everything they must know, and nothing they would refuse."""

from dataclasses import replace
from pathlib import Path

import pytest

from authz_service.policy import parse_policy
from control_plane.compile import compile_file, snapshots
from control_plane.config.errors import InvalidConfig
from control_plane.ir.model import Api, ApiKey, Dialect, Metering, ModelCall, Route, Secret, Target
from control_plane.policies.authz import authz_policy
from control_plane.policies.limits import limit_set, limited
from ratelimit_service.policy import PolicyTable
from service_kit.contract import AUTHZ_POLICY_NAME, AUTHZ_POLICY_TYPE, LEDGER_POLICY_TYPE, LIMIT_SET_TYPE
from tests.support.compiled import IDENTITY, JWT_SECRET, TOKEN, WIRING, compiled, config, private, route
from usage_ledger.policy import RetentionPolicy

GOLDEN = Path(__file__).resolve().parents[3] / "golden"
# A case with errors.txt is one that the compiler refuses; it has no policy.
CASES = sorted(path.parent for path in GOLDEN.rglob("in.yaml") if not (path.parent / "errors.txt").exists())
ENVIRON = {
    "JWT_SECRET": "a-secret-of-at-least-thirty-two-bytes",
    "BEARER_TOKEN": "a-bearer-token-for-tests",
    "TOLLGATE_KEY_PEPPER": "a-pepper-of-at-least-thirty-two-bytes",
}
# Of a control plane that runs: it has made a pepper.
RUNNING = replace(WIRING, key_pepper=lambda: Secret(b"a-pepper-of-at-least-thirty-two-bytes"))


@pytest.mark.parametrize("case", CASES, ids=lambda path: str(path.relative_to(GOLDEN)))
def test_the_services_accept_what_is_compiled(case: Path) -> None:
    _, policies = snapshots(compile_file(case / "in.yaml", ENVIRON).gateway, RUNNING)
    limits = {name: item.body for name, item in policies.of(LIMIT_SET_TYPE).items()}

    table = PolicyTable()
    table.apply(LIMIT_SET_TYPE, limits, ())
    parse_policy(policies.of(AUTHZ_POLICY_TYPE)[AUTHZ_POLICY_NAME].body)
    RetentionPolicy().apply(
        LEDGER_POLICY_TYPE, {name: item.body for name, item in policies.of(LEDGER_POLICY_TYPE).items()}, ()
    )

    assert table.current.sets.keys() == limits.keys()
    assert set(policies.resources) <= {AUTHZ_POLICY_TYPE, LIMIT_SET_TYPE, LEDGER_POLICY_TYPE}


def test_every_plan_has_a_set_and_every_route_that_asks() -> None:
    gateway = compiled(
        config(
            identity=IDENTITY,
            plans={"free": {"limits": [{"requests": "60/minute"}]}, "unlimited": {}},
            routes=[private(), route("public", "/public"), private("own", "/own", limits=[{"requests": "1/second"}])],
        )
    ).gateway

    assert {name: len(limits.limits) for name, limits in map(limit_set, limited(gateway))} == {
        "route/email": 0, "route/own": 1, "plan/free": 1, "plan/unlimited": 0,
    }  # fmt: skip


def test_others_have_a_set_where_they_have_rules() -> None:
    quota = {"usage": "requests", "amount": "9/day"}
    gateway = compiled(
        config(
            identity=IDENTITY,
            consumers=[{"name": "plain"}, {"name": "own", "quotas": [quota]}, {"name": "free", "limits": "unlimited"}],
            tenants=[{"name": "acme", "quotas": [quota]}],
            routes=[private(), private("open", "/open", limits="unlimited")],
        )
    ).gateway
    sets = dict(map(limit_set, limited(gateway)))

    assert set(sets) == {"route/email", "route/open", "consumer/own", "consumer/free", "tenant/acme"}
    assert sets["route/open"].exempt
    own, free = (sets[name].replaced for name in ("consumer/own", "consumer/free"))
    assert (own.limits, list(own.usages), own.all_quotas) == (False, ["requests"], False)
    assert (free.limits, list(free.usages), free.all_quotas) == (True, [], False)


def test_an_edit_of_a_number_keeps_the_name_under_which_is_counted() -> None:
    def ids(requests: str) -> list[str]:
        gateway = compiled(config(identity=IDENTITY, routes=[private(limits=[{"requests": requests}])])).gateway
        return [limit.id for _, limits in map(limit_set, limited(gateway)) for limit in limits.limits]

    assert ids("60/minute") == ids("90/minute") != ids("60/hour")


def of_model(api: str, dialect: Dialect, *targets: Target) -> Route:
    """A route of the model llama3.1, as it is compiled."""
    gateway = compiled(config(identity=IDENTITY, routes=[private(limits=[{"requests": "9/second"}])])).gateway
    return replace(
        gateway.routes[0], name=f"{api}:llama3.1", counted_as="model:llama3.1", usage="llm",
        tokens=Metering(Api.CHAT, most=100, input_price=1, output_price=3),
        model=ModelCall("llama3.1", dialect, tuple((target,) for target in targets)),
    )  # fmt: skip


def test_all_routes_of_a_model_are_counted_as_one_with_all_who_may_answer() -> None:
    gateway = compiled(config(identity=IDENTITY, routes=[])).gateway
    routes = (
        of_model("chat", Dialect.OPENAI, Target("a~openai", "a", "m", 1, 1, 3), Target("b~openai", "b", "m", 1, 2, 6)),
        of_model("ollama-chat", Dialect.OLLAMA, Target("b~ollama", "b", "m", 1, 2, 6)),
        of_model("completions", Dialect.OPENAI, Target("a~openai", "a", "m", 1, 1, 3)),
    )

    sets = dict(map(limit_set, limited(replace(gateway, routes=routes))))

    (found,) = (sets[name] for name in sets if name.startswith("route/"))
    assert list(sets) == ["route/model:llama3.1"]
    assert (found.model, found.usage, len(found.limits)) == ("llama3.1", "llm", 1)
    assert [(target.cluster, target.input_price, target.output_price) for target in found.metering.targets] == [
        ("a~openai", 1, 3), ("b~openai", 2, 6), ("b~ollama", 2, 6)
    ]  # fmt: skip
    table = PolicyTable()
    table.apply(LIMIT_SET_TYPE, {name: item.SerializeToString() for name, item in sets.items()}, ())


@pytest.mark.parametrize(("models", "patterns"), [(None, None), ((), []), (("a", "b*"), ["a", "b*"])])
def test_a_declared_key_may_be_for_some_models(models: tuple[str, ...] | None, patterns: list[str] | None) -> None:
    gateway = compiled(config(identity=IDENTITY, routes=[])).gateway
    key = ApiKey("a" * 12, bytes(32), "acme", (), (), None, (), None, models)

    (found,) = authz_policy(replace(gateway, declared_keys=(key,))).declared_keys

    assert (list(found.models.patterns) if found.HasField("models") else None) == patterns


def test_a_bearer_token_travels_as_a_digest() -> None:
    policy = authz_policy(compiled(config(identity=IDENTITY, routes=[])).gateway)

    assert TOKEN.encode() not in policy.SerializeToString()
    assert len(policy.bearer_tokens[0].sha256) == 32


def test_what_is_left_out_is_empty() -> None:
    issuer = {
        "name": "a", "issuer": "https://a.example.com", "audiences": ["g"], "algorithms": ["HS256"],
        "keys": {"secret": JWT_SECRET},
    }  # fmt: skip
    policy = authz_policy(compiled(config(identity={"jwt": [issuer]}, routes=[])).gateway)

    (found,) = policy.jwt
    assert (found.WhichOneof("keys"), found.claims.subject, found.claims.tenant) == ("secret", "sub", "")
    assert (found.leeway_seconds, found.max_lifetime_seconds, found.forward, policy.default_plan) == (0, 0, False, "")


def test_a_limit_nobody_could_count_never_becomes_a_policy() -> None:
    with pytest.raises(InvalidConfig):
        compiled(config(routes=[route(limits=[{"requests": "1/second", "per": "subject"}])]))
