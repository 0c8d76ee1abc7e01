"""What discovery tells of models."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from llm_providers.wholes import object_of


@dataclass(frozen=True)
class Model:
    """A model as its upstream describes it; what the upstream does not say is empty or nought.

    `created` and `modified` are seconds since the epoch, `context` is the largest number of tokens.
    """

    name: str
    created: int = 0
    owner: str = ""
    family: str = ""
    parameters: str = ""
    quantization: str = ""
    size: int = 0
    digest: str = ""
    context: int = 0
    capabilities: tuple[str, ...] = ()
    modified: int = 0


@dataclass(frozen=True)
class Listed:
    """The models of a list, and how many of its entries are none."""

    models: tuple[Model, ...]
    unreadable: int = 0


def read_each(rows: object, read: Callable[[Mapping[str, object]], Model]) -> Listed:
    """The entries of a list, which may be missing; ValueError for what is no list, or has no entry that is a model."""
    if rows is None:
        return Listed(())
    if not isinstance(rows, list):
        raise ValueError("its models are no list")  # noqa: TRY004 - the upstream's value is wrong
    models: list[Model] = []
    reason = ValueError()
    for row in rows:
        try:
            models.append(read(object_of(row, "a model")))
        except ValueError as error:
            reason = error
    if rows and not models:
        raise reason
    return Listed(tuple(models), len(rows) - len(models))
