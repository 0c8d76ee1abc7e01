"""What gateways of the bench do and leave out is what their names say."""

import pytest

from bench.ground import issued
from bench.llm.ground import Ground
from bench.llm.variants import Setup, config
from control_plane.ir.model import Route
from tests.support.compiled import compiled
from tests.support.gateway import with_addresses


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Ground:
    folder = tmp_path_factory.mktemp("ground")
    return Ground(folder, folder / "envoy", 1234, *issued(folder), folder)


def of_models(ground: Ground, setup: Setup) -> list[Route]:
    routes = compiled(with_addresses(config(ground, setup), 8800, 8801)).gateway.routes
    return [route for route in routes if route.model is not None]


@pytest.mark.parametrize("api", ["openai", "ollama", "ollama-native"])
@pytest.mark.parametrize("enforce", ["envoy", "service"])
def test_without_limits_of_a_fleet_nobody_is_asked_about_them(ground: Ground, enforce: str, api: str):
    found = of_models(ground, Setup(enforce=enforce, api=api))

    assert found
    assert not any(route.asks_limiter or route.holds for route in found)


def test_limits_of_a_fleet_are_asked_and_told(ground: Ground):
    found = of_models(ground, Setup(limits=True))

    assert found
    assert all(route.asks_limiter and route.holds for route in found)


@pytest.mark.parametrize("limits", [False, True])
def test_every_call_is_counted_priced_and_renamed(ground: Ground, *, limits: bool):
    chat = next(route for route in of_models(ground, Setup(limits=limits)) if route.name.startswith("chat:"))

    assert chat.asked is not None
    assert chat.model is not None
    assert chat.tokens is not None
    assert chat.tokens.request_usage
    assert chat.tokens.output_price
    assert len({*chat.asked.names, chat.model.targets[0][0].model}) == len(chat.asked.names) + 1
