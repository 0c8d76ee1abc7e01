"""All that is measured, one after the other."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.keys.alone import alone
from bench.keys.corpus import Corpus
from bench.keys.effort import Effort

Json = dict[str, Any]  # Any: JSON


@dataclass(frozen=True)
class Sized:
    """What so many keys cost; each list has a sample a start."""

    keys: int
    stores: list[Json]
    authorizers: list[Json]
    changes: Json
    told: Json


@dataclass(frozen=True)
class Results:
    effort: Effort
    sizes: list[Sized]


def measured(effort: Effort, tell: Callable[[str], None]) -> Results:
    """Everything, the smallest store first."""
    return Results(effort, [_sized(effort, keys, tell) for keys in effort.sizes])


def _sized(effort: Effort, keys: int, tell: Callable[[str], None]) -> Sized:
    with tempfile.TemporaryDirectory(prefix="bench-keys-") as folder:
        corpus = Corpus(Path(folder), keys)
        tell(f"{keys:,} keys: making them")
        alone("filled", corpus)
        tell(f"{keys:,} keys: starts")
        stores = [alone("started_store", corpus) for _ in range(effort.starts)]
        authorizers = [alone("started_authorizer", corpus, lookups=effort.lookups) for _ in range(effort.starts)]
        tell(f"{keys:,} keys: changes")
        changes = alone("changes", corpus, count=effort.changes)
        tell(f"{keys:,} keys: changes that {effort.services} authorizers are told")
        told = alone("told", corpus, services=effort.services, changes=effort.changes)
    return Sized(keys, stores, authorizers, changes, told)
