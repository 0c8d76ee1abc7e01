"""Parts of the intermediate representation; a test says what differs from the plainest one."""

from dataclasses import replace
from typing import Any

from control_plane.ir.model import Destination, Forward, PathKind, PathMatch, Route, Timeouts

TO_AN_UPSTREAM = Forward(destinations=(Destination("u"),), timeouts=Timeouts(30.0, None, 60.0, None))
EVERYTHING = Route(name="r", path=PathMatch("/", PathKind.PREFIX), action=TO_AN_UPSTREAM, body_limit=1)


def a_route(**changes: Any) -> Route:
    """A public route that takes everything to an upstream `u`, with these changes."""
    return replace(EVERYTHING, **changes)
