"""What goes live of an edit: bad parts are found by asking Envoy, held back at their places, and not tried again."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from control_plane.compile import Compiler
from control_plane.config.errors import InvalidConfig, Location
from control_plane.gate import trial
from control_plane.gate.candidate import Candidate
from control_plane.gate.gate import Gate, HeldBackGauge
from control_plane.publication.outcome import NodeRefusal, Outcome
from control_plane.server.status import Refusal
from control_plane.xds.names import CLUSTER_TYPE, ROUTES, ROUTES_TYPE
from service_kit.clock import Clock, SystemClock
from service_kit.contract import AUTHZ_POLICY_NAME, AUTHZ_POLICY_TYPE
from tests.support.clock import StillClock
from tests.support.compiled import IDENTITY, WIRING, compiled, config, private, route
from tests.support.envoy import envoy_binary

PLACE = Location("gateway.yaml", 1, 1)
# Refuses whatever holds one of the words, and counts how often it is asked.
PICKY = """#!/bin/sh
echo asked >> "$0.asked"
for word in unwanted disliked; do
  if grep -q $word "$4"; then echo "[x] Envoy dislikes what is $word" >&2; exit 1; fi
done
"""
UPSTREAMS = {"email": {"url": "http://127.0.0.1:9001"}}
BAD_UPSTREAM = {"unwanted": {"url": "http://127.0.0.1:9002"}}


@pytest.fixture
def picky(tmp_path: Path) -> Path:
    binary = tmp_path / "envoy"
    binary.write_text(PICKY)
    binary.chmod(0o700)
    return binary


def asked(binary: Path) -> int:
    log = binary.with_name("envoy.asked")
    return len(log.read_text().splitlines()) if log.exists() else 0


def gate(binary: Path | None, clock: Clock | None = None) -> Gate:
    return Gate(Compiler(WIRING), binary, PLACE, clock or SystemClock())


async def live(found: Gate, *routes: dict[str, Any], **changes: Any) -> Candidate:
    return await found.admitted(compiled(config(routes=list(routes), **changes)), None)


async def edit(found: Gate, last: Candidate | None, *routes: dict[str, Any], **changes: Any) -> Candidate:
    return await found.admitted(compiled(config(routes=list(routes), **changes)), last)


def served(candidate: Candidate) -> list[str]:
    return sorted(item.name for item in candidate.gateway.routes)


def held(candidate: Candidate) -> list[tuple[str, str]]:
    return [(item.kind, item.name) for item in candidate.held]


TRANSLATED = "translated for upstream 'far', and nobody translates here"
MODELS = {
    "upstreams": {
        "near": {"url": "http://127.0.0.1:9001", "api": "ollama"},
        "far": {"url": "http://127.0.0.1:9002", "api": "openai"},
        "native": {"url": "http://127.0.0.1:9003", "api": "ollama-native"},
    },
    "llm": {"auth": "none"},
}


@pytest.mark.parametrize(
    ("content", "place", "says"),
    [
        pytest.param(
            {"models": [{"name": "smart", "upstream": "far"}]}, "models[0].upstream",
            f"calls of 'smart' in Ollama's API are {TRANSLATED}", id="ollama to openai",
        ),
        pytest.param(
            {"models": [{"name": "smart", "upstream": "far"}]}, "models[0].upstream",
            "leave out --no-translator, or start the control plane with --translator, the address of an "
            "`llm_translator`, or write `llm: {ollama: false}`", id="the cure",
        ),
        pytest.param(
            {"llm": {"auth": "none", "ollama": False}, "models": [{"name": "smart", "upstream": "native"}]},
            "models[0].upstream", "calls of 'smart' in OpenAI's API are translated for upstream 'native'",
            id="openai to ollama-native",
        ),
        pytest.param(
            {"models": [{"name": "a", "upstream": "near", "fallback": [{"upstream": "far", "model": "b"}]}]},
            "models[0].fallback[0].upstream", f"calls of 'a' in Ollama's API are {TRANSLATED}", id="fallback",
        ),
        pytest.param(
            {"models": [{"name": "a", "upstream": [{"name": "near"}, {"name": "far"}]}]},
            "models[0].upstream[1].name", f"calls of 'a' in Ollama's API are {TRANSLATED}", id="weight",
        ),
        pytest.param(
            {"discovery": {"upstreams": ["near", "far"]}}, "discovery.upstreams[1]",
            f"calls of its models in Ollama's API are {TRANSLATED}", id="whatever is discovered",
        ),
    ],
)  # fmt: skip
async def test_models_that_nobody_translates_for(content: dict[str, Any], place: str, says: str) -> None:
    found = Gate(Compiler(replace(WIRING, translator=None)), None, PLACE, SystemClock())

    with pytest.raises(InvalidConfig) as refused:
        await found.admitted(compiled(config(**{**MODELS, **content})), None)

    (error,) = refused.value.errors
    assert (f"({place})" in str(error), says in str(error)) == (True, True), str(error)
    assert error.location.line > 1
    assert (await gate(None).admitted(compiled(config(**{**MODELS, **content})), None)).held == ()


@pytest.mark.parametrize(
    "content",
    [
        pytest.param({"models": [{"name": "a", "upstream": "near"}]}, id="both dialects are spoken there"),
        pytest.param(
            {"llm": {"auth": "none", "ollama": False}, "models": [{"name": "a", "upstream": "far"}]}, id="no Ollama"
        ),
        pytest.param({"llm": {"auth": "none", "ollama": False}, "discovery": {"upstreams": ["far"]}}, id="discovery"),
    ],
)
async def test_models_that_need_nobody_to_translate(content: dict[str, Any]) -> None:
    found = Gate(Compiler(replace(WIRING, translator=None)), None, PLACE, SystemClock())

    assert (await found.admitted(compiled(config(**{**MODELS, **content})), None)).held == ()


async def test_what_is_good_goes_live_as_it_is(picky: Path) -> None:
    found = gate(picky)

    candidate = await live(found, route("a", "/a"))

    assert (served(candidate), candidate.held, candidate.gateway) == (["a"], (), candidate.checked.gateway)


async def test_bad_routes_are_held_back_each_at_its_line_and_the_rest_goes_live(picky: Path) -> None:
    found = gate(picky)
    last = await live(found, route("a", "/a"), route("b", "/b"))

    edits = [route("a", "/a/unwanted"), route("b", "/b", timeout="9s"), route("c", "/c"), route("d", "/disliked")]
    candidate = await edit(found, last, *edits)

    assert served(candidate) == ["a", "b", "c"]
    first, second = map(str, candidate.held)
    assert Path(candidate.held[0].location.file).name == "gateway.yaml"
    assert candidate.held[0].location.line < candidate.held[1].location.line
    assert first == (
        f"{candidate.held[0].location}: route 'a' is held back, its last good version stays live: "
        "Envoy refuses it: Envoy dislikes what is unwanted; correct it; all else is live"
    )
    assert "route 'd' is held back, it is not live: Envoy refuses it: Envoy dislikes what is disliked" in second


async def test_a_bad_upstream_is_held_back_with_the_routes_to_it(picky: Path) -> None:
    found = gate(picky)
    last = await live(found, route("a", "/a"))

    routes = [route("a", "/a"), route("b", "/b"), route("c", "/c", upstream="unwanted")]
    candidate = await edit(found, last, *routes, upstreams={**UPSTREAMS, **BAD_UPSTREAM})

    assert served(candidate) == ["a", "b"]
    assert held(candidate) == [("routes", "c"), ("upstreams", "unwanted")]


async def test_a_bad_listener_is_held_back(picky: Path) -> None:
    found = gate(picky)
    last = await live(found, route("a", "/a"))

    more = {"public": {"address": "127.0.0.1:8800"}, "unwanted": {"address": "127.0.0.1:8802"}}
    candidate = await edit(found, last, route("a", "/a"), route("b", "/b"), listeners=more)

    assert (served(candidate), held(candidate)) == (["a", "b"], [("listeners", "unwanted")])


async def test_only_what_changed_is_shown_to_envoy(picky: Path) -> None:
    """What is bad and live, whatever the reason, holds up no edit of something else."""
    last = await live(gate(None), route("unwanted", "/a"))
    found = gate(picky)

    candidate = await edit(found, last, route("unwanted", "/a"), route("b", "/b"))
    same = await edit(found, candidate, route("unwanted", "/a"), route("b", "/b"))

    assert (served(candidate), candidate.held, asked(picky)) == (["b", "unwanted"], (), 1)
    assert same.release == candidate.release


async def test_what_was_refused_is_tried_again_when_it_is_changed_and_not_before(picky: Path) -> None:
    found = gate(picky)
    last = await live(found, route("a", "/a"))
    bad = await edit(found, last, route("a", "/a"), route("b", "/unwanted"))

    before = asked(picky)
    again = await edit(found, bad, route("a", "/a"), route("b", "/unwanted"), route("c", "/c"))
    assert (served(again), held(again), asked(picky) - before) == (["a", "c"], [("routes", "b")], 1)

    good = await edit(found, again, route("a", "/a"), route("b", "/wanted"), route("c", "/c"))
    assert (served(good), good.held) == (["a", "b", "c"], ())


async def test_an_edit_of_which_nothing_is_good_leaves_the_very_release_that_is_live(picky: Path) -> None:
    found = gate(picky)
    last = await live(found, route("a", "/a"))

    candidate = await edit(found, last, route("a", "/unwanted"))

    assert candidate.release is last.release
    assert held(candidate) == [("routes", "a")]


async def test_an_edit_that_may_not_be_taken_apart_is_refused_with_both_names(picky: Path) -> None:
    found = gate(picky)
    last = await live(found, route("x", "/x"), identity=IDENTITY)

    with pytest.raises(InvalidConfig) as refused:
        await edit(
            found, last, route("x", "/x"), private("guard", "/admin/unwanted"), route("open", "/*"), identity=IDENTITY
        )

    (error,) = refused.value.errors
    assert error.location.line > 1
    assert "route 'guard': Envoy refuses it: Envoy dislikes what is unwanted" in str(error)
    assert "another route of the same edit, 'open'" in str(error)
    assert "nothing of this edit goes live" in str(error)
    assert refused.value.files


async def test_a_first_configuration_is_taken_as_a_whole_and_every_mistake_has_its_line(picky: Path) -> None:
    with pytest.raises(InvalidConfig) as refused:
        await live(gate(picky), route("a", "/unwanted"), route("b", "/b"), route("c", "/disliked"))

    assert ["'a'" in str(error) or "'c'" in str(error) for error in refused.value.errors] == [True, True]


async def test_an_envoy_that_cannot_be_asked_is_nobodys_fault(tmp_path: Path, picky: Path) -> None:
    found = gate(picky)
    last = await live(found, route("a", "/a"))
    picky.unlink()

    with pytest.raises(InvalidConfig, match=r"^gateway.yaml:1:1: Envoy refuses it: cannot run"):
        await edit(found, last, route("a", "/a"), route("b", "/b"))


class SlowClock(StillClock):
    """Twenty seconds pass before each look at it."""

    def monotonic(self) -> float:
        self.advance(20)
        return super().monotonic()


OUT_OF_TIME = (
    r"^gateway.yaml:1:1: nothing of this change goes live: asking Envoy about it took longer than \d+ s, so it is not "
    r"known whether it is good; find out why Envoy is slow or hangs here, or change less at once$"
)


async def test_the_search_in_an_edit_is_bounded_and_the_next_has_its_own_time(picky: Path) -> None:
    last = await live(gate(None), *(route(f"r{number}", f"/{number}") for number in range(8)))
    found = gate(picky, SlowClock())

    with pytest.raises(InvalidConfig, match=OUT_OF_TIME) as refused:
        await edit(found, last, *(route(f"r{number}", f"/{number}/unwanted") for number in range(8)))
    assert asked(picky) == 2, "of sixteen"
    assert refused.value.files

    candidate = await edit(found, last, *(route(f"r{number}", f"/{number}/wanted") for number in range(8)))
    assert candidate.held == ()


async def test_an_envoy_that_hangs_costs_an_edit_no_more_than_its_time(
    picky: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial, "BUDGET", 0.5)
    last = await live(gate(None), route("a", "/a"))
    picky.write_text('#!/bin/sh\necho asked >> "$0.asked"\nexec sleep 60\n')

    with pytest.raises(InvalidConfig, match=OUT_OF_TIME):
        await edit(gate(picky), last, route("a", "/a"), route("b", "/b"))
    assert asked(picky) <= 1


async def test_the_search_in_what_consumers_refuse_is_bounded_too(picky: Path) -> None:
    last = await live(gate(None), route("a", "/a"))
    bad = (route(f"r{number}", f"/{number}/unwanted") for number in range(8))
    candidate = await edit(gate(None), last, route("a", "/a"), *bad)

    with pytest.raises(InvalidConfig, match=OUT_OF_TIME):
        await gate(picky, SlowClock()).without_refused(outcome(candidate, "missing ): ("), candidate, last)
    assert asked(picky) == 2


async def test_the_real_envoy_is_asked() -> None:
    found = gate(envoy_binary())

    last = await live(found, route("a", "/a"))
    candidate = await edit(found, last, route("a", "/a", timeout="9s"), route("b", "/b"))

    assert (served(candidate), candidate.held) == (["a", "b"], ())


def outcome(candidate: Candidate, message: str, type_url: str = ROUTES_TYPE, *names: str) -> Outcome:
    refusal = Refusal(type_url, "v", "n", message, 0.0, names or (ROUTES,))
    return Outcome(candidate.release, (), (NodeRefusal("envoy-1", "", refusal),))


async def test_what_consumers_refuse_and_name_is_held_back_and_the_rest_is_published_again() -> None:
    found = gate(None)
    last = await live(found, route("a", "/a"))
    candidate = await edit(found, last, route("a", "/a"), route("b", "/b/inner"), route("c", "/c"))

    instead = await found.without_refused(outcome(candidate, "route 'b' is bad"), candidate, last)

    assert (served(instead), held(instead), instead.attempts) == (["a", "c"], [("routes", "b")], 1)
    assert "it is not live: envoy-1 refuses it: route 'b' is bad" in str(instead.held[0])


async def test_what_consumers_refuse_and_do_not_name_is_all_that_changed_of_the_kind() -> None:
    found = gate(None)
    last = await live(found, route("a", "/a"))
    more = {**UPSTREAMS, "more": {"url": "http://127.0.0.1:9003"}}
    candidate = await edit(found, last, route("a", "/a"), route("b", "/b"), route("c", "/c"), upstreams=more)

    instead = await found.without_refused(outcome(candidate, "missing ): ("), candidate, last)

    assert (served(instead), held(instead)) == (["a"], [("routes", "b"), ("routes", "c")])
    assert [item.name for item in instead.gateway.upstreams] == ["email", "more"]


async def test_where_nothing_is_named_envoy_is_asked_which_it_is(picky: Path) -> None:
    last = await live(gate(None), route("a", "/a"))
    candidate = await edit(gate(None), last, route("a", "/a"), route("b", "/unwanted"), route("c", "/c"))

    instead = await gate(picky).without_refused(outcome(candidate, "missing ): ("), candidate, last)

    assert (served(instead), held(instead)) == (["a", "c"], [("routes", "b")])


async def test_one_after_the_other_is_held_back_until_all_that_changed_is() -> None:
    found = gate(None)
    last = await live(found, route("a", "/a"))
    names = ["b", "c", "d", "e", "f"]
    candidate = await edit(found, last, route("a", "/a"), *(route(name, f"/{name}") for name in names))

    counts = []
    for name in names[:4]:
        candidate = await found.without_refused(outcome(candidate, f"route {name!r} is bad"), candidate, last)
        counts.append(len(candidate.held))

    assert counts == [1, 2, 3, 5]
    assert candidate.release is last.release


async def test_without_a_last_good_one_the_rest_goes_live() -> None:
    found = gate(None)
    candidate = await live(found, route("a", "/a"), route("b", "/b"))

    instead = await found.without_refused(outcome(candidate, "route 'b' is bad"), candidate, None)

    assert served(instead) == ["a"]


@pytest.mark.parametrize(
    ("type_url", "name"),
    [
        pytest.param(AUTHZ_POLICY_TYPE, AUTHZ_POLICY_NAME, id="identity is everyone's"),
        pytest.param(CLUSTER_TYPE, "tollgate:authz", id="ours"),
    ],
)
async def test_what_is_nobodys_part_is_the_whole_edits_fault(type_url: str, name: str) -> None:
    found = gate(None)
    last = await live(found, route("a", "/a"))
    candidate = await edit(found, last, route("a", "/a"), identity=IDENTITY)

    with pytest.raises(
        InvalidConfig, match=r"^gateway.yaml:1:1: it is refused by all who judged it: a key is too short"
    ):
        await found.without_refused(outcome(candidate, "a key is too short", type_url, name), candidate, last)


async def test_what_is_held_back_is_counted_by_kind(picky: Path) -> None:
    registry = CollectorRegistry()
    gauge = HeldBackGauge(registry)
    found = gate(picky)
    last = await live(found, route("a", "/a"))

    def counted() -> list[float | None]:
        kinds = ("routes", "upstreams", "listeners")
        return [registry.get_sample_value("tollgate_config_held_back", {"kind": kind}) for kind in kinds]

    assert counted() == [0, 0, 0]
    gauge.tell((await edit(found, last, route("a", "/a"), route("b", "/unwanted"))).held)
    assert counted() == [1, 0, 0]
