"""Routes of the gateway itself, which no configuration writes: what they are, for the table and for the filters."""

from typing import Final

from control_plane.config.model import DEFAULT_BODY_LIMIT
from control_plane.ir.model import (
    Destination,
    Dimension,
    Forward,
    Gateway,
    Ledger,
    Limit,
    PathKind,
    PathMatch,
    Route,
    Timeouts,
)
from control_plane.xds import names
from service_kit.gateway_tokens import PATHS

# Requests a minute of one address to one Envoy, for tokens and for what verifies them: each costs the authorizer time
# that decisions need.
TOKEN_REQUESTS: Final = 600
# And for usage: each costs the ledger's database.
USAGE_REQUESTS: Final = 120
LONGEST_REPORT: Final = 10.0
# A form that does not arrive holds one of few places.
LONGEST_EXCHANGE: Final = 5.0

OAUTH: Final = Route(
    name=names.OAUTH,
    path=PathMatch("|".join(path.replace(".", "[.]") for path in PATHS), PathKind.REGEX),
    action=Forward(
        (Destination(names.OAUTH_CLUSTER),),
        Timeouts(total=LONGEST_EXCHANGE, first_byte=None, idle=LONGEST_EXCHANGE, max_duration=LONGEST_EXCHANGE),
    ),
    body_limit=DEFAULT_BODY_LIMIT,
    limits=(Limit(f"route/{names.OAUTH}:minute:ip:instance", TOKEN_REQUESTS, 60, (Dimension.IP,), local=True),),
    limited_here=True,
)


def system_routes(gateway: Gateway) -> tuple[Route, ...]:
    """The routes that come before those of the configuration."""
    oauth = () if gateway.tokens is None else (OAUTH,)
    return (*oauth, *(() if gateway.ledger is None else (_usage(gateway.ledger),)))


def _usage(ledger: Ledger) -> Route:
    return Route(
        name=names.USAGE,
        path=PathMatch(ledger.usage_path, PathKind.EXACT),
        action=Forward(
            (Destination(names.USAGE_CLUSTER),),
            Timeouts(total=LONGEST_REPORT, first_byte=None, idle=LONGEST_REPORT, max_duration=LONGEST_REPORT),
        ),
        body_limit=DEFAULT_BODY_LIMIT,
        demand=ledger.demand,
        # Who has spent a quota may read that it is so.
        exempt=True,
        limits=(Limit(f"route/{names.USAGE}:minute:ip:instance", USAGE_REQUESTS, 60, (Dimension.IP,), local=True),),
        limited_here=True,
    )
