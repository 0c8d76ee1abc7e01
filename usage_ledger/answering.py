"""Who answered a call, and what tokens cost there.

A route of a model says in each row who may answer it; Envoy says whom it asked last.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from service_kit.metering import Prices
from usage_ledger.values import Unusable, is_there, number, text


@dataclass(frozen=True)
class Answered:
    """The upstream that was asked last, None: nobody was; how it calls the model, and its prices, of models alone."""

    upstream: str | None = None
    model: str | None = None
    prices: Prices | None = None


NOBODY: Final = Answered()


def answering(row: Mapping[str, Any], attempts: int) -> Answered:
    """What a row says of it. Of a call that was refused it names the one who would have been asked."""
    cluster = text(row, "upstream")
    if cluster is None or not attempts:
        return NOBODY
    target = _targets(row).get(cluster)
    if target is None:
        return Answered(cluster)
    if not isinstance(target, Mapping):
        raise Unusable("a target is no object")
    prices = Prices(number(target, "price_in"), number(target, "price_out"))
    return Answered(text(target, "upstream") or cluster, text(target, "model"), prices)


def _targets(row: Mapping[str, Any]) -> Mapping[str, Any]:  # Any: JSON
    if not is_there(row, "targets"):
        return {}
    found = row["targets"]
    try:
        found = json.loads(found) if isinstance(found, str) else found
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, Mapping):
        raise Unusable("targets are no object")
    return found
