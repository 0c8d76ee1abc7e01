"""The language models of a running gateway, as operators see them: who answers, at what price, for whom, and how it is.

The JSON of the answer is that of its message in protos/tollgate/admin/v1/models.proto.

Errors: NoSuchModel
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from control_plane.checked import Checked
from control_plane.discovery.states import BackendState, Standing
from control_plane.ir.model import Dialect, ModelCall, Route, Target
from control_plane.operations.reports import BackendReport, ModelCounts

SERVICE: Final = "tollgate.admin.v1.ModelAdmin"
# Of prices, which are kept as pico-dollars a token: dollars for a million tokens.
PICO: Final = 1_000_000
DISCOVERED: Final = "discovered"
# What Ollama understands where no tag is written.
USUAL_TAG: Final = ":latest"

# States of a model beside those of upstreams: its upstream does not list it, nobody asks, or it is gone with its
# upstream. The best of its targets counts.
UNLISTED: Final = "unlisted"
UNWATCHED: Final = "unwatched"
WITHDRAWN: Final = "withdrawn"
BEST_FIRST: Final = (Standing.UP.value, UNWATCHED, Standing.AWAY.value, UNLISTED, Standing.DOWN.value)


class NoSuchModel(Exception):  # noqa: N818 - a verdict on what was asked
    """No model is called what was named."""


@dataclass(frozen=True)
class TargetReport:
    """Who answers; dollars for a million tokens."""

    upstream: str
    model: str
    group: int = 0
    weight: int = 1
    input_price: float = 0.0
    output_price: float = 0.0


@dataclass(frozen=True)
class ModelReport:
    """A model: where it comes from, how it is and why, and whose plans may call it."""

    name: str
    source: str
    state: str
    reason: str = ""
    aliases: tuple[str, ...] = ()
    apis: tuple[str, ...] = ()
    targets: tuple[TargetReport, ...] = ()
    plans: tuple[str, ...] = ()
    everybody: bool = False


@dataclass(frozen=True)
class ModelsReport:
    """All models by name."""

    models: tuple[ModelReport, ...] = ()


class ModelOperations:
    """What operators ask about models; `live` is the configuration that is live, `backends` how its upstreams stand."""

    def __init__(self, live: Callable[[], Checked], backends: Callable[[], Iterable[BackendState]]) -> None:
        self._live = live
        self._backends = backends

    def models(self, name: str) -> ModelsReport:
        """All, or the one that clients call so; NoSuchModel."""
        report = models_report(self._live(), self._backends())
        found = tuple(model for model in report.models if name in ("", model.name, *model.aliases))
        if name and not found:
            raise NoSuchModel(f"there is no model {name!r}")
        return ModelsReport(found)


def models_report(checked: Checked, backends: Iterable[BackendState]) -> ModelsReport:
    """The models of the configuration, and those that were withdrawn of it."""
    known = {state.upstream: state for state in backends}
    places = _places(checked)
    by_name: dict[str, list[tuple[Route, ModelCall]]] = {}
    for route in checked.gateway.routes:
        if route.model is not None:
            by_name.setdefault(route.model.model, []).append((route, route.model))
    live = {name: _model(name, calls, places.get(name, DISCOVERED), known) for name, calls in by_name.items()}
    gone = {report.name: report for state in known.values() for report in _withdrawn(state)}
    return ModelsReport(tuple(report for _, report in sorted({**gone, **live}.items())))


def model_counts(checked: Checked, backends: Iterable[BackendState]) -> ModelCounts | None:
    """How many there are; None where the configuration has no models."""
    if not checked.loaded.config.models and checked.loaded.config.discovery is None:
        return None
    reports = models_report(checked, backends).models
    withdrawn = sum(report.state == WITHDRAWN for report in reports)
    discovered = sum(report.source == DISCOVERED for report in reports) - withdrawn
    return ModelCounts(len(reports) - withdrawn - discovered, discovered, withdrawn)


def backend_report(state: BackendState) -> BackendReport:
    """The upstream as the status tells of it."""
    return BackendReport(
        upstream=state.upstream,
        provider=state.provider,
        state=state.standing.value,
        since=state.since,
        reason=state.reason,
        models=len(state.present),
        answered=state.answered,
        required=state.required,
    )


def _places(checked: Checked) -> Mapping[str, str]:
    """Where each written model stands."""
    marks = checked.loaded.marks
    return {
        written.name: str(marks.at(("models", index)))
        for index, written in enumerate(checked.loaded.config.models)
        if not written.is_pattern
    }


def _model(
    name: str, calls: Iterable[tuple[Route, ModelCall]], source: str, backends: Mapping[str, BackendState]
) -> ModelReport:
    routes = tuple(calls)
    route, call = next((item for item in routes if item[1].dialect is Dialect.OPENAI), routes[0])
    targets = tuple(_targets(call))
    states = [_state(target, backends.get(target.upstream)) for group in call.targets for target in group]
    state, reason = min(states, key=lambda found: BEST_FIRST.index(found[0]), default=(UNWATCHED, ""))
    return ModelReport(
        name=name,
        source=source,
        state=state,
        reason=reason,
        aliases=() if route.asked is None else tuple(alias for alias in route.asked.names if alias != name),
        apis=tuple(dict.fromkeys(item.name.partition(":")[0] for item, it in routes if it.dialect is Dialect.OPENAI)),
        targets=targets,
        plans=call.plans or (),
        everybody=call.plans is None,
    )


def _targets(call: ModelCall) -> Iterator[TargetReport]:
    for number, group in enumerate(call.targets):
        for target in group:
            yield TargetReport(
                upstream=target.upstream,
                model=target.model,
                group=number,
                weight=target.weight,
                input_price=target.input_price / PICO,
                output_price=target.output_price / PICO,
            )


def _state(target: Target, backend: BackendState | None) -> tuple[str, str]:
    """How a target is, and why."""
    if backend is None:
        return UNWATCHED, ""
    if backend.standing is Standing.UP and not {target.model, target.model + USUAL_TAG} & set(backend.models):
        return UNLISTED, f"{backend.upstream} does not list {target.model}"
    reason = "" if backend.standing is Standing.UP else f"{backend.upstream}: {backend.reason}"
    return backend.standing.value, reason


def _withdrawn(state: BackendState) -> Iterator[ModelReport]:
    """What an upstream had until its grace ended."""
    if state.standing is not Standing.DOWN:
        return
    for name in state.models:
        reason = f"{state.upstream}: {state.reason}"
        yield ModelReport(name, DISCOVERED, WITHDRAWN, reason, targets=(TargetReport(state.upstream, name),))
