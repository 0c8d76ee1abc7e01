"""With no file at all the environment describes the gateway, and every mistake names its variable."""

from pathlib import Path

import pytest
import yaml

from control_plane.compile import compile_file, snapshots
from control_plane.config import preset
from control_plane.config.errors import InvalidConfig
from control_plane.config.load import Loaded, load
from control_plane.config.model import ApiKeys, Config
from control_plane.render import rendered
from service_kit.endpoint import TcpEndpoint
from tests.support.compiled import WIRING

TOKEN = "a-bearer-token-for-tests"
# What a value would have to hold to say more than a value.
ODD = ['"', "'", "}", "]", "\n", "{", "${HOME}", "$${", "${", "*a", "&a", "!!str", "#", ": x", "%", "\\"]


def loaded(**environ: str) -> Loaded:
    return load(None, {"GATEWAY_BEARER_TOKEN": TOKEN, **environ})


EMPTY = loaded().config


def mistakes(**environ: str) -> list[str]:
    with pytest.raises(InvalidConfig) as caught:
        loaded(**environ)
    return [str(error) for error in caught.value.errors]


def config_or_names(**environ: str) -> Config | set[str]:
    """The configuration, or the names of the variables that are refused."""
    try:
        return loaded(**environ).config
    except InvalidConfig as refused:
        return {str(error).split(": ")[1] for error in refused.errors}


def test_a_token_is_enough():
    found = loaded()
    config = found.config

    assert config.listeners["public"].address == TcpEndpoint("0.0.0.0", 8800)
    assert config.admin.address == TcpEndpoint("127.0.0.1", 8801)
    assert config.admin.metrics
    assert config.routes == ()
    assert config.discovery is not None
    assert config.discovery.upstreams == ("ollama",)
    assert (config.llm.timeout, config.llm.body_limit) == (300.0, 2**24)
    assert config.defaults.auth == ("api_key", "bearer")
    assert config.identity.api_keys == ApiKeys()
    assert config.identity.bearer_tokens[0].token.get_secret_value() == TOKEN
    assert (found.warnings, dict(found.files)) == ((), {})


def test_every_route_asks_for_the_token_but_what_says_what_it_is():
    gateway = compile_file(None, {"GATEWAY_BEARER_TOKEN": TOKEN}).gateway
    envoy, _ = snapshots(gateway, WIRING)
    (host,) = rendered(envoy, "routes")["tollgate:routes"]["virtual_hosts"]

    settings = {
        route["name"]: route["typed_per_filter_config"]["envoy.filters.http.ext_authz"].get("check_settings", {})
        for route in host["routes"]
        if not route["name"].startswith("tollgate:") and "::methods" not in route["name"]  # these answer 405
    }
    accepted = {name: found.get("context_extensions", {}).get("accept") for name, found in settings.items()}

    assert {"chat:", "ollama-chat:", "models:", "tags:", "card:"} <= accepted.keys()
    assert {name for name, accept in accepted.items() if accept != "api_key bearer"} == {"greeting:", "metadata:"}


def test_the_variables_are_what_they_say():
    config = loaded(
        GATEWAY_HOST="::", GATEWAY_PORT="9000", OBSERVABILITY_HOST="0.0.0.0", OBSERVABILITY_PORT="9001",
        METRICS_ENABLED="Off", DEFAULT_BACKEND="ollama", OLLAMA_BASE_URL="http://10.0.0.7:11434/",
    ).config  # fmt: skip

    assert config.listeners["public"].address == TcpEndpoint("::", 9000)
    assert config.admin.address == TcpEndpoint("0.0.0.0", 9001)
    assert not config.admin.metrics
    assert "10.0.0.7" in repr(config.upstreams["ollama"].url)


@pytest.mark.parametrize("name", sorted({*preset.CHECKS, "OLLAMA_BASE_URL"} - {preset.TOKEN}))
def test_an_empty_variable_is_one_that_is_not_set(name):
    assert loaded(**{name: ""}).config == loaded().config


@pytest.mark.parametrize("environ", [{}, {"GATEWAY_BEARER_TOKEN": ""}], ids=["unset", "empty"])
def test_without_a_token_there_is_no_gateway(environ):
    with pytest.raises(InvalidConfig) as caught:
        load(None, environ)

    assert str(caught.value).startswith("environment: GATEWAY_BEARER_TOKEN: is not set; without it nobody may call")


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("GATEWAY_BEARER_TOKEN", "hunter2", "the token is shorter than 16 bytes; make one with `openssl rand -hex 32`"),
        ("GATEWAY_BEARER_TOKEN", "a token with spaces in it", "the token holds characters that a bearer token cannot"),
        ("GATEWAY_BEARER_TOKEN", "file:/etc/passwd", "names a file, and the preset reads none; put the token itself"),
        ("GATEWAY_HOST", "localhost", "'localhost' is no IP address; write one, such as 127.0.0.1, 0.0.0.0 or ::"),
        ("GATEWAY_HOST", "127.0.0.1:80", "'127.0.0.1:80' is no IP address"),
        ("GATEWAY_PORT", "http", "'http' is no port; write a number from 1 to 65535"),
        ("GATEWAY_PORT", "0", "'0' is no port"),
        ("OBSERVABILITY_PORT", "65536", "'65536' is no port"),
        ("OBSERVABILITY_HOST", "\x01", "the value holds control characters"),
        ("METRICS_ENABLED", "maybe", "'maybe' is neither true nor false; write true or false"),
        ("DEFAULT_BACKEND", "vllm", "'vllm' is no backend of this preset; write ollama, or name a CONFIG file"),
        ("OLLAMA_BASE_URL", "localhost", "'localhost' is no URL"),
    ],
)
def test_a_mistake_names_its_variable_and_the_cure(name, value, expected):
    (found,) = mistakes(**{name: value})

    assert found.startswith(f"environment: {name}: {expected}")
    assert name != "GATEWAY_BEARER_TOKEN" or value not in found


def test_all_mistakes_are_reported_at_once():
    assert len(mistakes(GATEWAY_PORT="x", METRICS_ENABLED="x", GATEWAY_BEARER_TOKEN="")) == 3


@pytest.mark.parametrize("name", sorted({*preset.CHECKS, "OLLAMA_BASE_URL"}))
@pytest.mark.parametrize("odd", ODD)
def test_no_value_is_more_than_a_value(name, odd):
    """Either it is refused under its name, or it is one part of one scalar: never a key, never another variable's."""
    value = {"OLLAMA_BASE_URL": "http://h:1/", "GATEWAY_BEARER_TOKEN": TOKEN}.get(name, "") + odd

    if (found := config_or_names(**{name: value, "HOME": "/root"})) == {name}:
        return

    part = {"OLLAMA_BASE_URL": "upstreams", "USER_DB_PATH": "identity"}[name]
    assert found.upstreams.keys() == {"ollama"}
    assert found.identity.model_copy(update={"api_keys": None}) == EMPTY.identity.model_copy(update={"api_keys": None})
    assert found.model_copy(update={part: None}) == EMPTY.model_copy(update={part: None})
    assert "/root" not in f"{found.upstreams} {found.identity.api_keys.store.get_secret_value()}"


def test_variables_without_effect_are_warned_of():
    found = loaded(USER_DB_PATH="/data/users.db", MEMORY_V2_ENABLED="true", MEMORY_DB_PATH="/data/memory.db")

    assert [warning.partition(" ")[0] for warning in found.warnings] == ["MEMORY_V2_ENABLED", "MEMORY_DB_PATH"]


@pytest.mark.parametrize(
    ("path", "store"),
    [("/data/users.db", "sqlite:///data/users.db"), ("users.db", f"sqlite://{Path.cwd()}/users.db"), ("", "")],
    ids=["absolute", "relative", "unset"],
)
def test_the_database_of_users_is_a_path(path, store):
    assert loaded(USER_DB_PATH=path).config.identity.api_keys.store.get_secret_value() == store


@pytest.mark.parametrize("path", ["/data/", "/data/users.db?mode=ro", "/data/users#1"])
def test_a_path_that_is_none_of_a_file(path):
    with pytest.raises(InvalidConfig, match=r"USER_DB_PATH: .* is no path of a file"):
        loaded(USER_DB_PATH=path)


def test_what_is_in_use_is_told_without_the_token():
    shown = dict(preset.in_use({"GATEWAY_BEARER_TOKEN": TOKEN, "GATEWAY_PORT": "9000"}))

    assert shown["GATEWAY_BEARER_TOKEN"] == "set"
    assert (shown["GATEWAY_PORT"], shown["OBSERVABILITY_PORT"]) == ("9000", "8801 (default)")


def test_a_configuration_file_knows_nothing_of_the_preset(tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text("version: 1\nlisteners: {public: {address: 127.0.0.1:8800}}\n")

    assert load(file, {"GATEWAY_PORT": "9000", "USER_DB_PATH": "/x"}).config.listeners["public"].address.port == 8800


def test_the_preset_is_a_configuration_that_can_be_copied(tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text(preset.TEXT)

    assert load(file, {"GATEWAY_BEARER_TOKEN": TOKEN}).config == loaded().config
    assert yaml.safe_load(preset.TEXT)["version"] == 1
