"""A compiler that goes from one configuration to the next gives what one that begins anew gives, whatever the edits.

The same bytes, the same mistakes at the same places; and what did not change is the same object.
"""

import random
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from weakref import ref

import pytest
import yaml
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from hypothesis import given, settings
from hypothesis import strategies as st

from control_plane.checked import Checked
from control_plane.compile import Compiler, compile_file, snapshots
from control_plane.config.errors import InvalidConfig
from control_plane.ir.model import Gateway
from control_plane.snapshot import Release, Snapshot
from control_plane.xds import names
from control_plane.xds.packing import serialized
from control_plane.xds.routes import RouteTable, route_configuration
from service_kit.contract import LIMIT_SET_TYPE
from tests.support.compiled import IDENTITY, WIRING, private, route

Files = dict[str, dict[str, Any]]
Edit = Callable[[Files, random.Random], object]
ENVIRON = {"PORT": "9001", "TIMEOUT": "5s"}
BASE = {
    "version": 1,
    "listeners": {"public": {"address": "127.0.0.1:8800"}},
    "identity": IDENTITY,
    "plans": {"free": {"limits": [{"requests": "60/minute"}]}},
    "consumers": [{"name": "acme", "plan": "free"}],
    "defaults": {"plan": "free"},
    "upstreams": {
        "email": {"url": "http://127.0.0.1:${PORT}"},
        "chat": {"url": "http://127.0.0.1:9002", "timeout": "3s"},
        "named": {"url": "https://backend.internal", "tls": {"verify": False}},
    },
}
UPSTREAMS = ("email", "chat", "named")
# What a route may say, valid beside everything else or not: both ways of compiling must say the same.
CHANGES: tuple[Mapping[str, Any], ...] = (
    {"timeout": "5s"},
    {"timeout": "${TIMEOUT}"},
    {"upstream": "chat"},
    {"upstream": [{"name": "email", "weight": 1}, {"name": "chat", "weight": 2}]},
    {"upstream": "gone"},
    {"mirror": {"upstream": "named"}},
    {"auth": ["bearer"]},
    {"auth": ["jwt"]},
    {"auth": "none"},
    {"limits": [{"requests": "5/minute", "per": "ip"}]},
    {"limits": [{"requests": "5/second", "per": "ip", "scope": "instance"}]},
    {"limits": [{"concurrent": 5, "per": "ip"}, {"requests": "5/day", "mode": "report"}]},
    {"limits": "unlimited"},
    {"usage": "email"},
    {"tokens": {"api": "chat", "most": 5}},
    {"tokens": {"api": "ollama"}, "limits": [{"tokens": "9000/minute", "per": "ip"}]},
    {"cost": 50},
    {"cost": 1},
    {"cost": True},
    {"body_limit": "16MiB"},
    {"cors": {"origins": ["https://a.example.com"]}},
    {"cache": {}},
    {"bandwidth": {"upload": "1MiB"}},
    {"adaptive_concurrency": {}},
    {"fault": {"abort": {"status": 500}}},
    {"request_body": {"merge": {"a": 1}}},
    {"request_body": {"merge": {"a": True}}},
    {"retries": {"attempts": 2}},
    {"websocket": True},
    {"unknown": 1},
)
MATCHES: tuple[Mapping[str, Any], ...] = (
    {"hosts": ["a.example.com"]},
    {"hosts": ["*.example.com", "b.example.com"]},
    {"methods": ["GET"]},
    {"headers": {"x-kind": "a"}},
    {"priority": 5},
    {"path": "/r1/*"},
    {"path": "/{any}/*"},
)


def written(folder: Path, files: Files) -> None:
    for file in folder.iterdir():
        if file.name not in files:
            file.unlink()
    for name, content in files.items():
        (folder / name).write_text(yaml.safe_dump(content, sort_keys=False))


def some_routes(files: Files, chance: random.Random) -> list[dict[str, Any]]:
    return chance.choice([content["routes"] for content in files.values() if content.get("routes")] or [[]])


def some_route(files: Files, chance: random.Random) -> dict[str, Any]:
    return chance.choice(some_routes(files, chance) or [route("lost", "/lost")])


def change_a_route(files: Files, chance: random.Random) -> None:
    some_route(files, chance).update(deepcopy(chance.choice(CHANGES)))


def change_a_match(files: Files, chance: random.Random) -> None:
    some_route(files, chance)["match"].update(deepcopy(chance.choice(MATCHES)))


def add_a_route(files: Files, chance: random.Random) -> None:
    number = chance.randrange(1000)
    make = chance.choice((route, private))
    some_routes(files, chance).append(make(f"new{number}", f"/new{number}/*"))


def drop_a_route(files: Files, chance: random.Random) -> None:
    if routes := some_routes(files, chance):
        routes.pop(chance.randrange(len(routes)))


def move_a_route(files: Files, chance: random.Random) -> None:
    if routes := some_routes(files, chance):
        some_routes(files, chance).insert(0, routes.pop())


def repeat_a_route(files: Files, chance: random.Random) -> None:
    some_routes(files, chance).append(deepcopy(some_route(files, chance)))


def shuffle_keys(files: Files, chance: random.Random) -> None:
    """The same meaning in other bytes."""
    item = some_route(files, chance)
    items = list(item.items())
    item.clear()
    item.update(chance.sample(items, len(items)))


def change_an_upstream(files: Files, chance: random.Random) -> None:
    changes: tuple[dict[str, Any], ...] = (
        {"url": "http://127.0.0.1:9005"}, {"url": "http://127.0.0.1:9005/base"}, {"timeout": "7s"},
        {"protocol": "http2"}, {"load_balancing": {"policy": "ring_hash", "hash_by": "ip"}},
        {"readiness": "required", "health_check": {}}, {"api": "ollama"}, {"host_header": "client"},
    )  # fmt: skip
    files["00.yaml"]["upstreams"][chance.choice(UPSTREAMS)].update(chance.choice(changes))


def restore_the_base(files: Files, _chance: random.Random) -> None:
    files["00.yaml"] = deepcopy(BASE)


def change_a_plan(files: Files, chance: random.Random) -> None:
    limits = chance.choice(([], [{"requests": "30/minute"}], [{"requests": "60/minute", "scope": "instance"}]))
    files["00.yaml"]["plans"]["free"]["limits"] = limits


def change_the_defaults(files: Files, chance: random.Random) -> None:
    files["00.yaml"]["defaults"] = chance.choice(({"auth": "none"}, {"auth": ["bearer"], "plan": "free"}))


def forget_identity(files: Files, _chance: random.Random) -> None:
    files["00.yaml"].pop("identity", None)


def change_a_listener(files: Files, chance: random.Random) -> None:
    files["00.yaml"]["listeners"]["inner"] = {"address": f"127.0.0.1:{chance.choice((8800, 8803, 8804))}"}


def move_a_file(files: Files, chance: random.Random) -> None:
    name = chance.choice(sorted(files))
    if name != "00.yaml":
        files[f"{chance.randrange(10, 99)}.yaml"] = files.pop(name)


def add_models(files: Files) -> None:
    files["00.yaml"]["upstreams"]["chat"]["api"] = "ollama"
    files["00.yaml"]["upstreams"]["email"]["api"] = "ollama-native"
    files["00.yaml"].update(llm={"auth": ["bearer"]}, models=[
        {"name": "m", "upstream": "chat", "aliases": ["a"], "fallback": ["n"], "set": {"top_k": 1}},
        {"name": "n", "upstream": "email"},
    ])  # fmt: skip


def change_a_model(files: Files, chance: random.Random) -> None:
    if "models" not in files["00.yaml"]:
        add_models(files)
    changes: tuple[dict[str, Any], ...] = (
        {"set": {"top_k": True}}, {"set": {"top_k": 1}}, {"price": {"input": 1}}, {"upstream": "email"},
        {"upstream": "gone"}, {"fallback": []}, {"aliases": ["b"]}, {"limits": [{"tokens": "9/minute"}]},
        {"apis": ["chat"]}, {"upstream": [{"name": "chat"}, {"name": "email"}]}, {"name": "a"}, {"max_tokens": 5},
    )  # fmt: skip
    chance.choice(files["00.yaml"]["models"]).update(deepcopy(chance.choice(changes)))


def change_all_models(files: Files, chance: random.Random) -> None:
    changes: tuple[dict[str, Any], ...] = (
        {"auth": "none"}, {"auth": ["bearer"]}, {"ollama": False}, {"default_model": "m"}, {"timeout": "9s"},
        {"limits": [{"requests": "5/minute", "per": "ip"}]}, {"usage": "talk"}, {"cors": {"origins": ["https://a.b"]}},
    )  # fmt: skip
    if "llm" in files["00.yaml"]:
        files["00.yaml"]["llm"].update(deepcopy(chance.choice(changes)))
    files["00.yaml"]["plans"]["free"]["models"] = chance.choice((["m"], ["*"], []))


EDITS: tuple[Edit, ...] = (
    change_a_route, change_a_route, change_a_match, add_a_route, drop_a_route, move_a_route, repeat_a_route,
    shuffle_keys, change_an_upstream, restore_the_base, change_a_plan, change_the_defaults, forget_identity,
    change_a_listener, move_a_file, change_a_model, change_all_models,
)  # fmt: skip


def beginning(count: int = 3) -> Files:
    files: Files = {"00.yaml": deepcopy(BASE)}
    for number in range(count):
        files[f"{number + 10}.yaml"] = {
            "version": 1,
            "routes": [
                route(f"r{number}", f"/r{number}/*", upstream=UPSTREAMS[number % 3]),
                private(f"p{number}", f"/p{number}/{{id}}", limits=[{"requests": "5/minute"}]),
            ],
        }
    return files


def held(release: Release) -> list[tuple[object, ...]]:
    """Every resource of a release, with its bytes."""
    return sorted(
        (item.type_url, item.name, item.version, item.body, sorted(item.groups))
        for part in (release.envoy, release.policies)
        for named in part.resources.values()
        for item in named.values()
    )


@dataclass
class Good:
    """What comes of a good configuration."""

    gateway: Gateway
    resources: list[tuple[object, ...]]
    warnings: tuple[str, ...]
    files: Mapping[Path, object]


@dataclass
class Bad:
    """What comes of a bad one."""

    mistakes: list[str]
    files: Mapping[Path, object]


def outcome(read: Callable[[], tuple[Checked, Release]]) -> Good | Bad:
    try:
        checked, release = read()
    except InvalidConfig as error:
        return Bad([str(found) for found in error.errors], dict(error.files))
    return Good(checked.gateway, held(release), checked.warnings(0), dict(checked.loaded.files))


def anew(folder: Path) -> tuple[Checked, Release]:
    checked = compile_file(folder, ENVIRON)
    return checked, Release(*snapshots(checked.gateway, WIRING))


def onward(compiler: Compiler, folder: Path) -> tuple[Checked, Release]:
    checked = compiler.read(folder, ENVIRON)
    return checked, compiler.release(checked.gateway)


@settings(deadline=None, max_examples=8)
@given(chance=st.randoms(use_true_random=False))
def test_after_any_edits_the_release_is_that_of_a_compiler_that_begins_anew(
    tmp_path_factory: pytest.TempPathFactory, chance: random.Random
) -> None:
    folder, files, compiler = tmp_path_factory.mktemp("edits"), beginning(), Compiler(WIRING)
    good = deepcopy(files)
    for _ in range(12):
        written(folder, files)
        found = outcome(lambda: onward(compiler, folder))
        assert found == outcome(lambda: anew(folder))
        rejected = isinstance(found, Bad)
        files = deepcopy(good) if rejected and chance.random() < 0.7 else files
        good = good if rejected else deepcopy(files)
        for _ in range(chance.choice((1, 1, 1, 3))):
            chance.choice(EDITS)(files, chance)


def first(files: Files) -> dict[str, Any]:
    found: dict[str, Any] = files["10.yaml"]["routes"][0]
    return found


SPLIT = [{"name": "email", "weight": 1}, {"name": "chat", "weight": 2}]


def without_limits(files: Files) -> None:
    files["00.yaml"]["plans"]["free"].update(limits="unlimited")


DEPENDENCIES = [
    pytest.param(
        lambda files: files["10.yaml"]["routes"][1].update(cost=50, limits=[]),
        lambda files: files["00.yaml"]["plans"]["free"].update(limits=[{"requests": "30/minute"}]),
        id="a plan that admits fewer requests than a call costs",
    ),
    pytest.param(
        lambda files: files["10.yaml"]["routes"][1].update(cost=50, limits=[]),
        lambda files: files["00.yaml"]["plans"]["free"].update(quotas=[{"usage": "requests", "amount": "30/day"}]),
        id="a quota that admits fewer requests than a call costs",
    ),
    pytest.param(
        lambda files: files["10.yaml"]["routes"][1].update(usage="email", limits=[]) or without_limits(files),
        lambda files: files["00.yaml"]["plans"]["free"].update(quotas=[{"usage": "email", "amount": "30/day"}]),
        id="a quota of what the route counts as",
    ),
    pytest.param(
        lambda files: files["10.yaml"]["routes"][1].update(limits=[]) or without_limits(files),
        lambda files: files["00.yaml"]["consumers"][0].update(limits=[{"requests": "30/minute"}]),
        id="a consumer's own limit",
    ),
    pytest.param(
        lambda files: files["10.yaml"]["routes"][1].update(limits=[]) or without_limits(files),
        lambda files: files["00.yaml"].update(tenants=[{"name": "t", "limits": [{"requests": "30/minute"}]}]),
        id="a tenant's limit",
    ),
    pytest.param(
        lambda _: None,
        lambda files: files["00.yaml"]["plans"]["free"]["limits"].append({"concurrent": 5}),
        id="calls under way that a plan limits",
    ),
    pytest.param(
        lambda files: files["10.yaml"]["routes"][1].update(limits=[]),
        lambda files: files["00.yaml"]["plans"]["free"].update(limits=[]),
        id="a plan without limits",
    ),
    pytest.param(
        lambda files: files["10.yaml"]["routes"][1].update(limits=[]),
        lambda files: files["00.yaml"]["plans"]["free"]["limits"][0].update(scope="instance"),
        id="who counts a plan's limits",
    ),
    pytest.param(
        lambda files: first(files).pop("auth") and files["00.yaml"]["defaults"].update(auth=["bearer"]),
        lambda files: files["00.yaml"]["defaults"].update(auth="none"),
        id="the default of who may call",
    ),
    pytest.param(lambda _: None, lambda files: files["00.yaml"].pop("identity"), id="credentials"),
    pytest.param(
        lambda files: first(files).update(mirror={"upstream": "named"}),
        lambda files: files["00.yaml"]["upstreams"]["named"].update(host_header="client"),
        id="the upstream of copies",
    ),
    pytest.param(
        lambda _: None, lambda files: files["00.yaml"]["upstreams"]["email"].update(timeout="9s"), id="its upstream"
    ),
    pytest.param(
        lambda _: None, lambda files: first(files)["match"].update(path="/r1/*"), id="a route that takes the same"
    ),
    pytest.param(
        lambda files: first(files).update(cost=1, limits=[{"requests": "5/minute", "per": "ip"}]),
        lambda files: first(files).update(cost=True),
        id="true where 1 stood",
    ),
    pytest.param(
        lambda files: first(files).update(request_body={"merge": {"a": 1}}),
        lambda files: first(files).update(request_body={"merge": {"a": True}}),
        id="true where 1 stood, in JSON",
    ),
    pytest.param(
        lambda files: first(files).update(upstream=SPLIT, timeout="5s"),
        lambda files: files["00.yaml"]["upstreams"]["chat"].update(
            load_balancing={"policy": "maglev", "hash_by": "ip"}
        ),
        id="an upstream among several",
    ),
    pytest.param(
        add_models, lambda files: files["00.yaml"]["models"][1].update(upstream="chat"), id="the fallback of a model"
    ),
    pytest.param(
        add_models, lambda files: files["00.yaml"]["models"][0].update(set={"top_k": True}), id="true where 1 was set"
    ),
    pytest.param(add_models, lambda files: files["00.yaml"]["llm"].update(auth="none"), id="who may call models"),
    pytest.param(
        add_models, lambda files: files["00.yaml"]["plans"]["free"].update(models=["n"]), id="what a plan may call"
    ),
    pytest.param(
        add_models,
        lambda files: files["00.yaml"]["plans"]["free"].update(quotas=[{"usage": "tokens", "amount": "30/day"}]),
        id="a quota of the tokens of models",
    ),
    pytest.param(
        add_models,
        lambda files: files["00.yaml"]["upstreams"]["chat"].update(url="http://127.0.0.1:9002/gpu"),
        id="the path of the address of models",
    ),
    pytest.param(
        add_models, lambda files: files["00.yaml"].pop("models") and files["00.yaml"].pop("llm"), id="no models"
    ),
    pytest.param(
        lambda _: None,
        lambda files: files["11.yaml"]["routes"][0].update(body_limit="16MiB"),
        id="a filter that other routes do not speak to",
    ),
]


@pytest.mark.parametrize(("prepare", "edit"), DEPENDENCIES)
def test_an_edit_reaches_all_that_depends_on_it(
    tmp_path: Path, prepare: Callable[[Files], object], edit: Callable[[Files], object]
) -> None:
    compiler, files = Compiler(WIRING), beginning()
    prepare(files)
    written(tmp_path, files)
    before = outcome(lambda: onward(compiler, tmp_path))
    edit(files)
    written(tmp_path, files)

    after = outcome(lambda: onward(compiler, tmp_path))

    assert isinstance(before, Good)
    assert before != after == outcome(lambda: anew(tmp_path))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    written(tmp_path, beginning())
    return tmp_path


def parts(checked: Checked, release: Release) -> Iterator[tuple[str, object]]:
    yield from ((f"route {item.name}", item) for item in checked.gateway.routes)
    yield from ((f"upstream {item.name}", item) for item in checked.gateway.upstreams)
    for part in (release.envoy, release.policies):
        for type_url, named in part.resources.items():
            yield f"all of {type_url}", named
            yield from ((f"{type_url} {item.name}", item) for item in named.values())


def remade(before: tuple[Checked, Release], after: tuple[Checked, Release]) -> set[str]:
    """What is another object than before."""
    old = dict(parts(*before))
    return {name for name, item in parts(*after) if old.get(name) is not item}


ROUTING = {f"{names.ROUTES_TYPE} {names.ROUTES}", f"all of {names.ROUTES_TYPE}"}


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        pytest.param(lambda _: None, set(), id="nothing"),
        pytest.param(lambda files: shuffle_keys(files, random.Random(1)), set(), id="the same in other words"),
        pytest.param(
            lambda files: files["11.yaml"]["routes"][0].update(timeout="9s"), {"route r1", *ROUTING}, id="a route"
        ),
        pytest.param(
            lambda files: files["11.yaml"]["routes"][1]["limits"][0].update(requests="6/minute"),
            # The log names the rules by which a call was judged.
            {"route p1", f"{LIMIT_SET_TYPE} route/p1", f"all of {LIMIT_SET_TYPE}", *ROUTING},
            id="a limit",
        ),
        pytest.param(
            lambda files: files["00.yaml"]["upstreams"]["chat"].update(url="http://127.0.0.1:9009"),
            {"upstream chat", f"{names.ENDPOINTS_TYPE} chat", f"all of {names.ENDPOINTS_TYPE}"},
            id="an address",
        ),
        pytest.param(
            lambda files: files["00.yaml"]["plans"]["free"]["limits"][0].update(requests="61/minute"),
            {f"{LIMIT_SET_TYPE} plan/free", f"all of {LIMIT_SET_TYPE}"},
            id="a plan",
        ),
    ],
)
def test_what_did_not_change_is_the_same_object(
    folder: Path, edit: Callable[[Files], object], expected: set[str]
) -> None:
    compiler, files = Compiler(WIRING), beginning()
    before = onward(compiler, folder)
    edit(files)
    written(folder, files)

    after = onward(compiler, folder)

    assert remade(before, after) == expected


def test_a_configuration_that_was_rejected_costs_nothing_of_the_good_one(folder: Path) -> None:
    compiler, files = Compiler(WIRING), beginning()
    before = onward(compiler, folder)
    for upstream in ("gone", "lost"):
        files["11.yaml"]["routes"][0]["upstream"] = upstream
        written(folder, files)
        with pytest.raises(InvalidConfig):
            compiler.read(folder, ENVIRON)
    written(folder, beginning())

    assert remade(before, onward(compiler, folder)) == set()


def test_a_trial_of_a_part_forgets_nothing(folder: Path) -> None:
    compiler = Compiler(WIRING)
    before = onward(compiler, folder)
    gateway = before[0].gateway

    for routes in ((), gateway.routes[:1], gateway.routes[1:]):
        trial = compiler.trial(replace(gateway, routes=routes))
        assert {item.name for item in routes} == route_names(trial.envoy) & {item.name for item in gateway.routes}

    assert remade(before, onward(compiler, folder)) == set()


def route_names(envoy: Snapshot) -> set[str]:
    configuration = RouteConfiguration.FromString(envoy.of(names.ROUTES_TYPE)[names.ROUTES].body)
    return {item.name for host in configuration.virtual_hosts for item in host.routes}


def test_variables_and_files_are_read_each_time(tmp_path: Path) -> None:
    files = beginning(1)
    files["00.yaml"]["identity"] = {"bearer_tokens": [{"name": "ops", "token": "file:token"}]}
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    folder = tmp_path / "files"
    folder.mkdir()
    files["00.yaml"]["identity"]["bearer_tokens"][0]["token"] = "file:../secrets/token"
    (secrets / "token").write_text("a-bearer-token-of-a-test")
    written(folder, files)
    compiler = Compiler(WIRING)
    first = compiler.read(folder, ENVIRON).gateway
    (secrets / "token").write_text("another-bearer-token-of-a-test")

    second = compiler.read(folder, ENVIRON).gateway
    third = compiler.read(folder, {**ENVIRON, "PORT": "9999"}).gateway

    assert first.bearer_tokens != second.bearer_tokens == third.bearer_tokens
    assert [item.endpoints[0].port for item in (*second.upstreams, *third.upstreams) if item.name == "email"] == [
        9001, 9999,
    ]  # fmt: skip


def test_what_earlier_configurations_were_made_of_is_forgotten(folder: Path) -> None:
    compiler, files = Compiler(WIRING), beginning()
    made: list[list[ref[object]]] = []
    for number in range(10):
        files["11.yaml"]["routes"][0].update(timeout=f"{number + 1}s", upstream="gone" if number % 3 == 2 else "chat")
        files["00.yaml"]["upstreams"]["chat"]["url"] = f"http://127.0.0.1:{9000 + number}"
        written(folder, files)
        if number % 3 == 2:
            with pytest.raises(InvalidConfig):
                compiler.read(folder, ENVIRON)
        else:
            made.append(edited(onward(compiler, folder)[0]))

    assert [part() for parts in made[:-1] for part in parts if part() is not None] == []
    assert None not in [part() for part in made[-1]]


def edited(checked: Checked) -> list[ref[object]]:
    """What the edits of that test change, without keeping it."""
    gateway = checked.gateway
    (meant,) = (item for item in gateway.routes if item.name == "r1")
    (upstream,) = (item for item in gateway.upstreams if item.name == "chat")
    (said,) = (item for item in checked.loaded.config.routes if item.name == "r1")
    return [ref(meant), ref(upstream), ref(said)]


def test_places_are_told_by_kind_and_name(folder: Path) -> None:
    checked = compile_file(folder, ENVIRON)

    places = {name: checked.place(kind, name) for kind, name in (("routes", "p1"), ("upstreams", "chat"))}

    assert (places["p1"].file, places["p1"].line) == (str(folder / "11.yaml"), line_of(folder / "11.yaml", "name: p1"))
    assert places["chat"].line == line_of(folder / "00.yaml", "chat:")
    assert checked.place("listeners", "public").line == line_of(folder / "00.yaml", "public:")


def line_of(file: Path, text: str) -> int:
    return next(number for number, line in enumerate(file.read_text().splitlines(), 1) if text in line)


def test_routes_put_together_are_what_protobuf_would_write(folder: Path) -> None:
    gateway = compile_file(folder, ENVIRON).gateway

    assert RouteTable().serialized(gateway) == serialized(route_configuration(gateway))
