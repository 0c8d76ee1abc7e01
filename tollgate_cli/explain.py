"""`tollgate explain`: where each rule of a route is enforced, by the server's own compiler; nothing is started."""

import json
from dataclasses import asdict
from typing import Annotated

import typer

from control_plane.config.errors import InvalidConfig, did_you_mean
from control_plane.ir.model import Gateway, Route
from control_plane.operations.enforcement import Enforced, enforcement
from service_kit.contract import CREDENTIAL_JWT
from service_kit.settings import environment
from tollgate_cli.admission import admitted
from tollgate_cli.refusal import refuse
from tollgate_cli.source import Config
from tollgate_cli.table import table

HEADINGS = ("WHERE", "FILTER", "RULE")


def explain(
    route: Annotated[str, typer.Argument(help="Name of a route.")],
    config: Config = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Say which rules of a route are enforced by Envoy and which by a service that it asks, in their order."""
    try:
        gateway = admitted(config, environment()).gateway
    except InvalidConfig as error:
        refuse(error, as_json=as_json)
    found = enforcement(gateway, _named(route, gateway))
    if as_json:
        typer.echo(json.dumps({"route": route, "rules": [asdict(item) for item in found]}, indent=2))
    else:
        typer.echo("\n".join(_lines(found)))
    for name in _unread(gateway, _named(route, gateway)):
        typer.echo(f"note: once the gateway has fetched the keys of {name}, Envoy judges its tokens", err=True)


def _named(name: str, gateway: Gateway) -> Route:
    known = {route.name: route for route in gateway.routes}
    if name not in known:
        cure = did_you_mean(name, known) or "the configuration has no routes"
        typer.echo(f"error: there is no route {name!r}; {cure}", err=True)
        raise typer.Exit(1)
    return known[name]


def _unread(gateway: Gateway, route: Route) -> list[str]:
    """Issuers that Envoy judges on this route once it has their keys."""
    if route.demand is None or CREDENTIAL_JWT not in route.demand.accept:
        return []
    return [issuer.name for issuer in gateway.jwt if issuer.native and issuer.fetched and issuer.jwks is None]


def _lines(found: tuple[Enforced, ...]) -> list[str]:
    return table((HEADINGS, *((item.where, item.filter, item.rule) for item in found)))
