"""Everything that a well-formed configuration may still get wrong, part by part."""

from collections.abc import Iterable, Iterator, Mapping

from control_plane.config import model as config
from control_plane.config.errors import Path, Problem
from control_plane.ir.checks.api_keys import api_key_problems, taken_away
from control_plane.ir.checks.cache import cache_problems
from control_plane.ir.checks.counting import counting_problems
from control_plane.ir.checks.demands import demand_problems, mtls_problems, reserved_problems
from control_plane.ir.checks.identity import identity_problems
from control_plane.ir.checks.ledger import ledger_problems, usage_problems
from control_plane.ir.checks.limits import plan_problems
from control_plane.ir.checks.listeners import listener_problems
from control_plane.ir.checks.llm import llm_problems
from control_plane.ir.checks.llm_endpoints import endpoint_of_models_problems
from control_plane.ir.checks.metering import metering_problems
from control_plane.ir.checks.native import native_problems
from control_plane.ir.checks.routes import route_problems
from control_plane.ir.checks.shaping import shaping_problems
from control_plane.ir.checks.tokens import endpoint_problems, token_problems
from control_plane.ir.checks.upstreams import upstream_problems
from control_plane.ir.limits import Counted, counted


def problems(source: config.Config, files: Mapping[str, bytes]) -> Iterator[Problem]:
    """Everything that keeps this configuration from being enforced as written."""
    yield from general_problems(source, files)
    callers = counted(source)
    for index, route in enumerate(source.routes):
        yield from problems_of_route(source, callers, route, index)


def general_problems(source: config.Config, files: Mapping[str, bytes]) -> Iterator[Problem]:
    """What is wrong with all that is not a route."""
    yield from _repeated_names(source)
    yield from listener_problems(source)
    yield from plan_problems(source)
    yield from identity_problems(source, files)
    yield from native_problems(source)
    yield from api_key_problems(source)
    yield from mtls_problems(source)
    yield from token_problems(source)
    yield from ledger_problems(source)
    yield from llm_problems(source)
    yield from reserved_problems(source)
    yield from upstream_problems(source)


def problems_of_route(source: config.Config, callers: Counted, route: config.Route, index: int) -> Iterator[Problem]:
    """What is wrong with one route, which stands at this place; `callers` is what rules of callers count."""
    path: Path = ("routes", index)
    yield from route_problems(source, route, path)
    yield from taken_away(route, source, path)
    yield from demand_problems(source, route, path)
    yield from endpoint_problems(source, route, path)
    yield from usage_problems(source, route, path)
    yield from endpoint_of_models_problems(source, route, path)
    yield from shaping_problems(route, path)
    yield from counting_problems(source, callers, route, path)
    yield from cache_problems(source, route, path)
    yield from metering_problems(route, path)


def _repeated_names(source: config.Config) -> Iterator[Problem]:
    lists: tuple[tuple[Path, Iterable[config.Named]], ...] = (
        (("routes",), source.routes),
        (("consumers",), source.consumers),
        (("tenants",), source.tenants),
        (("identity", "jwt"), source.identity.jwt),
        (("identity", "bearer_tokens"), source.identity.bearer_tokens),
    )
    for path, items in lists:
        first: dict[str, int] = {}
        for index, item in enumerate(items):
            if first.setdefault(item.name, index) != index:
                yield Problem(
                    (*path, index, "name"),
                    f"the name {item.name!r} is taken by entry {first[item.name] + 1}",
                    "rename one",
                )
