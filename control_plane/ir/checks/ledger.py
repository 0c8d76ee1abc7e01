"""The endpoint of usage: that it is known who asks, and that no other has its path."""

from collections.abc import Iterator
from typing import Final

from control_plane.config import model as config
from control_plane.config.errors import Path, Problem
from control_plane.ir.checks.routes import RESERVED_PATHS
from control_plane.ir.checks.tokens import is_meant_for
from control_plane.ir.ledger import reading_usage
from control_plane.ir.llm.endpoints import paths
from control_plane.ir.model import PathKind
from control_plane.ir.routes import path_match
from service_kit.gateway_tokens import PATHS

USAGE_PATH: Final[Path] = ("ledger", "usage_path")


def ledger_problems(source: config.Config) -> Iterator[Problem]:
    """What keeps consumers from reading their usage as written."""
    if source.ledger is None:
        return
    if not reading_usage(source):
        at = USAGE_PATH if "usage_path" in source.ledger.model_fields_set else USAGE_PATH[:1]
        yield Problem(
            at, "nobody knows whose usage is asked for: `defaults.auth` names no credential",
            "write `defaults: {auth: [...]}`; routes may say otherwise", at_key=True,
        )  # fmt: skip
    if source.ledger.usage_path in {*RESERVED_PATHS, *PATHS, *paths(source)}:
        yield Problem(USAGE_PATH, "something else of the gateway is answered there", "choose another path")


def usage_problems(source: config.Config, route: config.Route, path: Path) -> Iterator[Problem]:
    """A route that is meant for the path of usage, which would never get to it."""
    if source.ledger is None:
        return
    match = path_match(route.match)
    if is_meant_for(match, source.ledger.usage_path) and match.kind is not PathKind.PREFIX:
        key = "path_regex" if match.kind is PathKind.REGEX else "path"
        yield Problem(
            (*path, "match", key),
            f"{source.ledger.usage_path!r} is answered by the gateway, on all hosts, since there is `ledger`",
            "choose another path, or another `ledger.usage_path`",
        )
