"""`tollgate render`: what Envoy and the services would be told, by the server's own compiler; nothing is started."""

import json
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from control_plane.compile import snapshots
from control_plane.config.errors import InvalidConfig
from control_plane.ir.model import Gateway
from control_plane.render import KINDS, rendered
from control_plane.xds.wiring import Wiring
from service_kit.contract import POLICY_TYPES
from service_kit.endpoint import EndpointError
from service_kit.settings import environment
from tollgate_cli.admission import admitted
from tollgate_cli.refusal import refuse
from tollgate_cli.source import Config
from tollgate_cli.supervisor.layout import layout


class Kind(StrEnum):
    """What can be shown alone; the names of control_plane.render.KINDS."""

    LISTENERS = "listeners"
    ROUTES = "routes"
    CLUSTERS = "clusters"
    ENDPOINTS = "endpoints"
    SECRETS = "secrets"
    AUTHZ = "authz"
    RATELIMIT = "ratelimit"
    LEDGER = "ledger"


def render(
    config: Config = None,
    *,
    kind: Annotated[
        list[Kind] | None, typer.Option("--type", help="Show this kind alone; may be repeated.", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
    state_dir: Annotated[
        Path, typer.Option(envvar="TOLLGATE_STATE_DIR", help="Where `tollgate run` would keep its sockets and logs.")
    ] = Path(".tollgate"),
) -> None:
    """Print what Envoy and the services would be told of a configuration that would go live, secrets left out."""
    try:
        wiring = layout(state_dir).wiring
        checked = admitted(config, environment())
    except InvalidConfig as error:
        refuse(error, as_json=as_json)
    except EndpointError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error
    shown = _shown(checked.gateway, wiring, frozenset(kind or Kind))
    typer.echo(json.dumps(shown, indent=2) if as_json else _block_style(shown), nl=as_json)


def _shown(gateway: Gateway, wiring: Wiring, kinds: frozenset[Kind]) -> Mapping[str, Any]:  # Any: plain data
    """The resources by kind and name, both sorted."""
    envoy, policies = snapshots(gateway, wiring)
    return {
        kind.value: rendered(policies if KINDS[kind] in POLICY_TYPES else envoy, kind.value) for kind in sorted(kinds)
    }


def _block_style(shown: Mapping[str, Any]) -> str:
    text: str = yaml.safe_dump(dict(shown), sort_keys=False, width=120, default_flow_style=False, allow_unicode=True)
    return text
