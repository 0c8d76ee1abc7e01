"""What the gateway answers itself: which models there are, for each plan, and what Ollama's clients ask besides.

Where plans differ, a list is a group of routes: one for each view, and one for whoever has no such plan, which takes
the requests of everybody until it is known who asks.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from control_plane.ir import model as ir
from control_plane.ir.llm import endpoints
from control_plane.ir.llm.calls import Common
from control_plane.ir.llm.listed import as_json, card
from service_kit.version import installed_version

READING: Final = ("GET", "HEAD")
# What Ollama's clients compare with what they need.
OLLAMA_VERSION: Final = "0.12.0"
# What clients may escape in a path, each sign in both ways.
ESCAPED: Final = {"/": "(/|%2[Ff])", ":": "(:|%3[Aa])", "@": "(@|%40)", "+": r"(\+|%2[Bb])"}
# What the `ollama` command looks for first, and browsers show.
OLLAMA_GREETS: Final = ir.DirectResponse(200, "Ollama is running", "text/plain; charset=utf-8")
NOT_FOUND: Final = {
    "message": "there is no such model",
    "type": "invalid_request_error",
    "param": "model",
    "code": "model_not_found",
}


@dataclass(frozen=True)
class Shown:
    """A model as it is listed, its other names and what it can, and the plans that may see it; None: everybody."""

    listed: ir.ListedModel
    aliases: tuple[str, ...]
    apis: tuple[str, ...]
    plans: tuple[str, ...] | None


def list_routes(shown: Sequence[Shown], shared: Common) -> Iterator[ir.Route]:
    """The lists, and all that is not of one model alone."""
    views = _views(shown, shared)
    yield from _of_views("models", endpoints.LIST, views, _openai_list, shared)
    yield _answer("metadata:", endpoints.METADATA, as_json(_about(shown, shared)), shared, public=True)
    yield _missing(shared, of_plans=None if all(item.plans is None for item in shown) else ())
    if not shared.llm.ollama:
        return
    yield from _of_views("tags", endpoints.TAGS, views, _ollama_list, shared)
    yield _answer("version:", endpoints.VERSION, as_json({"version": OLLAMA_VERSION}), shared)
    yield _answer("running:", endpoints.RUNNING, as_json({"models": []}), shared)
    yield _missing_of_ollama(shared)
    if not endpoints.root_is_taken(shared.source):
        root = ir.PathMatch(endpoints.ROOT, ir.PathKind.EXACT)
        yield replace(_direct("greeting:", root, "", shared, public=True), action=OLLAMA_GREETS)
    yield from (_refused(word, shared) for word in endpoints.NOT_OFFERED)


def routes_of(shown: Shown, shared: Common) -> Iterator[ir.Route]:
    """What is told of one model by itself."""
    model, names = shown.listed, sorted({shown.listed.name, *shown.aliases})
    path = ir.PathMatch(f"{endpoints.LIST}/({'|'.join(map(_spelled, names))})", ir.PathKind.REGEX)
    yield _direct(f"card:{model.name}", path, as_json(card(model)), shared, of_plans=shown.plans)
    if shared.llm.ollama:
        show = ir.PathMatch(endpoints.SHOW, ir.PathKind.EXACT)
        asked = ir.Asked(tuple(names))
        yield _direct(
            f"show:{model.name}", show, model.details, shared, methods=("POST",), asked=asked, of_plans=shown.plans
        )


def _views(shown: Iterable[Shown], shared: Common) -> Mapping[tuple[str, ...], tuple[ir.ListedModel, ...]]:
    """What callers of some plans see, the plans together that see the same; those of no plan: everybody else."""
    shown = tuple(shown)
    everybody = tuple(item.listed for item in shown if item.plans is None)
    seen: dict[tuple[ir.ListedModel, ...], list[str]] = {}
    for plan in sorted(shared.source.plans):
        view = tuple(item.listed for item in shown if item.plans is None or plan in item.plans)
        seen.setdefault(view, []).append(plan)
    seen.pop(everybody, None)
    return {(): everybody, **{tuple(plans): view for view, plans in seen.items()}}


def _of_views(
    name: str,
    path: str,
    views: Mapping[tuple[str, ...], tuple[ir.ListedModel, ...]],
    written: Callable[[Iterable[ir.ListedModel]], str],
    shared: Common,
) -> Iterator[ir.Route]:
    exact = ir.PathMatch(path, ir.PathKind.EXACT)
    for plans, view in views.items():
        of_plans = plans if len(views) > 1 else None
        yield _direct(f"{name}:{plans[0] if plans else ''}", exact, written(view), shared, of_plans=of_plans)


def _openai_list(view: Iterable[ir.ListedModel]) -> str:
    return as_json({"object": "list", "data": [card(model) for model in view]})


def _ollama_list(view: Iterable[ir.ListedModel]) -> str:
    return f'{{"models":[{",".join(model.tag for model in view)}]}}'


def _about(shown: Iterable[Shown], shared: Common) -> Mapping[str, Any]:
    """For whoever asks what this is: of models their names and what they can, and not who answers or what it costs."""
    shown = tuple(shown)
    called = [item.path for item in endpoints.endpoints(shared.llm)]
    return {
        "object": "gateway",
        "gateway": "tollgate",
        "version": installed_version(),
        "dialects": ["ollama", "openai"] if shared.llm.ollama else ["openai"],
        "capabilities": sorted({api for item in shown for api in item.apis}),
        "endpoints": sorted((*called, *endpoints.told(shared.llm))),
        "models": [{"id": item.listed.name, "capabilities": sorted(item.apis)} for item in shown],
    }


def _spelled(name: str) -> str:
    return "".join(ESCAPED.get(sign, re.escape(sign)) for sign in name)


def _missing(shared: Common, of_plans: tuple[str, ...] | None) -> ir.Route:
    """For models that are not there, or not for this caller."""
    path = ir.PathMatch(endpoints.LIST, ir.PathKind.PREFIX)
    return _direct("card:", path, as_json({"error": NOT_FOUND}), shared, status=404, of_plans=of_plans)


def _missing_of_ollama(shared: Common) -> ir.Route:
    path = ir.PathMatch(endpoints.SHOW, ir.PathKind.EXACT)
    body = as_json({"error": NOT_FOUND["message"]})
    return _direct("show:", path, body, shared, status=404, methods=("POST",), asked=ir.Asked())


def _refused(word: str, shared: Common) -> ir.Route:
    path = f"/api/{word}"
    kind = ir.PathKind.PREFIX if word == "blobs" else ir.PathKind.EXACT
    body = as_json({"error": f"{path} is not offered: the models here are not for clients to change"})
    return _direct(f"not-offered:{word}", ir.PathMatch(path, kind), body, shared, status=403, methods=())


def _answer(name: str, path: str, body: str, shared: Common, *, public: bool = False) -> ir.Route:
    return _direct(name, ir.PathMatch(path, ir.PathKind.EXACT), body, shared, public=public)


def _direct(
    name: str,
    path: ir.PathMatch,
    body: str,
    shared: Common,
    *,
    status: int = 200,
    methods: tuple[str, ...] = READING,
    asked: ir.Asked | None = None,
    of_plans: tuple[str, ...] | None = None,
    public: bool = False,
) -> ir.Route:
    return ir.Route(
        name=name,
        path=path,
        action=ir.DirectResponse(status, body, "application/json"),
        body_limit=shared.llm.body_limit,
        methods=methods,
        demand=None if public else shared.demand,
        native=None if public else shared.native,
        allow_ips=tuple(sorted(shared.llm.allow_ips)),
        asked=asked,
        of_plans=of_plans,
        response_headers=shared.response_headers,
    )
