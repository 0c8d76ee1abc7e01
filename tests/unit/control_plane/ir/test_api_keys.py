"""API keys from YAML to policy: what an admin should hear of, and when there is something to look for."""

from dataclasses import replace

import pytest

from control_plane.compile import snapshots
from control_plane.ir.model import Secret
from control_plane.policies.authz import authz_policy
from service_kit.contract import AUTHZ_POLICY_TYPE
from tests.support.compiled import WIRING, compiled, config, private, route

KEY = {"id": "5vg68MA6yzYr", "hash": "hmac-sha256:" + "0" * 64}
NOW = 1_900_000_000.0  # in 2030


def warned(*routes, **key):
    consumers = [{"name": "acme", "keys": [{**KEY, **key}]}]
    return [
        warning.partition(": ")[2] for warning in compiled(config(consumers=consumers, routes=routes)).warnings(NOW)
    ]


@pytest.mark.parametrize(
    ("routes", "key", "expected"),
    [
        pytest.param([route()], {}, ["no route accepts API keys, so it opens nothing"], id="no-route"),
        pytest.param([private(auth=["api_key"])], {"expires": "2030-01-01"}, ["the key has expired"], id="expired"),
        pytest.param([private(auth=["api_key"])], {"expires": "2031-01-01"}, [], id="good"),
    ],
)
def test_keys_that_open_nothing_are_told(routes, key, expected):
    found = warned(*routes, **key)

    assert len(found) == len(expected)
    assert all(shown.startswith(message) for shown, message in zip(found, expected, strict=True))


def test_nothing_is_looked_for_where_no_route_accepts_keys():
    assert not authz_policy(compiled(config(routes=[route()])).gateway).HasField("api_keys")


def test_the_pepper_of_the_state_directory_is_that_of_a_configuration_without_one():
    gateway = compiled(config(routes=[private(auth=["api_key"])])).gateway

    assert authz_policy(gateway, b"of the state directory").api_keys.pepper == b"of the state directory"


def test_the_pepper_of_the_configuration_comes_first():
    keys = {"api_keys": {"pepper": "p" * 32}}
    gateway = compiled(config(identity=keys, routes=[private(auth=["api_key"])])).gateway

    assert authz_policy(gateway, b"of the state directory").api_keys.pepper == b"p" * 32
    assert "p" * 32 not in repr(gateway)


def unreadable() -> Secret:
    raise AssertionError("nobody needs it")


@pytest.mark.parametrize(
    ("keys", "routes"),
    [
        pytest.param({"pepper": "p" * 32}, [private(auth=["api_key"])], id="the-configuration-has-one"),
        pytest.param({}, [route()], id="no-keys"),
    ],
)
def test_the_pepper_of_the_state_directory_is_read_where_it_is_needed(keys, routes):
    gateway = compiled(config(identity={"api_keys": keys}, routes=routes)).gateway
    _, policies = snapshots(gateway, replace(WIRING, key_pepper=unreadable))

    assert policies.of(AUTHZ_POLICY_TYPE)
