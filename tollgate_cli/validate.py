"""`tollgate validate`: whether a configuration would go live; nothing is started."""

import json
from typing import Annotated

import typer

from control_plane.config import model
from control_plane.config.errors import InvalidConfig
from service_kit.settings import environment
from tollgate_cli.admission import admitted
from tollgate_cli.refusal import refuse
from tollgate_cli.source import Config, source_name


def validate(
    config: Config = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Check a configuration with the server's own compiler and the real Envoy; prints every mistake with its cure."""
    try:
        found = admitted(config, environment())
    except InvalidConfig as error:
        refuse(error, as_json=as_json)
    if as_json:
        typer.echo(json.dumps({"valid": True, "errors": []}))
    else:
        typer.echo(f"{source_name(config)} is valid: {_summary(found.loaded.config)}")


def _summary(config: model.Config) -> str:
    models = sum(not item.is_pattern for item in config.models)
    counts = (
        (len(config.listeners), "listener"),
        (len(config.routes), "route"),
        (len(config.upstreams), "upstream"),
        *([(models, "model")] if models else []),
    )
    said = [f"{count} {noun}{'' if count == 1 else 's'}" for count, noun in counts]
    if config.discovery is not None:
        said.append(f"the models of {' and '.join(config.discovery.upstreams)}")
    return ", ".join(said)
