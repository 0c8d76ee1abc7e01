"""Metered routes: whose fields their bodies have, and what a token costs."""

from decimal import Decimal

from control_plane.config import model as config
from control_plane.ir import model as ir


def api_of(written: config.Route) -> config.Api | None:
    """Whose fields the bodies of a metered route have; None where nothing says."""
    if written.tokens is None:
        return None
    path = written.match.path or ""
    return written.tokens.api or next((api for end, api in config.API_PATHS if path.endswith(end)), None)


def metering(written: config.Route) -> ir.Metering | None:
    """What is counted of its tokens; its API is known."""
    if written.tokens is None:
        return None
    input_price, output_price = prices(written.tokens.price)
    return ir.Metering(
        api=ir.Api(api_of(written)),
        most=written.tokens.most,
        input_price=input_price,
        output_price=output_price,
        upstream_takes="" if written.tokens.upstream_takes == "either" else written.tokens.upstream_takes,
        request_usage=written.tokens.request_usage,
    )


def prices(written: config.Price | None) -> tuple[int, int]:
    """What a token of a prompt and one of an answer cost."""
    if written is None:
        return 0, 0
    return _of_a_token(written.input, written.unit), _of_a_token(written.output, written.unit)


def _of_a_token(dollars: float, unit: str) -> int:
    """Pico-dollars, a whole number: a price has at most six digits behind the point."""
    return int(Decimal(repr(dollars)) * config.PARTS_OF_A_DOLLAR) // config.UNITS_OF_TOKENS[unit]
