"""What goes live beside a part that is held back, and when nothing may."""

from typing import Any

import pytest

from control_plane.gate.parts import LISTENERS, ROUTES, UPSTREAMS, Part, elements
from control_plane.gate.quarantine import Held, Inseparable, held_back
from control_plane.ir.model import Gateway
from control_plane.ir.part import changed
from tests.support.certificates import Authority
from tests.support.compiled import IDENTITY, compiled, config, private, route

EMAIL = {"url": "http://127.0.0.1:9001"}
CHAT = {"url": "http://127.0.0.1:9002"}
BOTH = {"email": EMAIL, "chat": CHAT}
TWO_TOKENS = {"bearer_tokens": [*IDENTITY["bearer_tokens"], {"name": "new", "token": "a-token-that-is-new-here"}]}


def gateway(*routes: dict[str, Any], **changes: Any) -> Gateway:
    return compiled(config(**{"identity": IDENTITY, "upstreams": BOTH, "routes": list(routes), **changes})).gateway


def held(new: Gateway, last: Gateway | None, *parts: tuple[str, str]) -> Held:
    return held_back(new, last, {Part(*part): "bad" for part in parts})


def route_of(found: Gateway, name: str) -> Any:
    return elements(found).get(Part(ROUTES, name))


def names(found: Gateway) -> list[str]:
    return sorted(item.name for item in found.routes)


def test_nothing_is_held_back_of_what_nobody_blames() -> None:
    new = gateway(route())

    assert held(new, gateway()) == Held(new, {}, frozenset())


def test_a_changed_route_stays_as_it_was_and_the_rest_goes_live() -> None:
    last = gateway(route("a", "/a"), route("b", "/b"))
    new = gateway(route("a", "/a", timeout="9s"), route("b", "/b", timeout="9s"), route("c", "/c"))

    found = held(new, last, (ROUTES, "a"))

    assert names(found.gateway) == ["a", "b", "c"]
    assert route_of(found.gateway, "a") == route_of(last, "a")
    assert route_of(found.gateway, "b") == route_of(new, "b")
    assert (found.parts, found.absent) == ({Part(ROUTES, "a"): "bad"}, frozenset())


def test_a_new_route_is_away() -> None:
    found = held(gateway(route("a", "/a"), route("b", "/b")), gateway(route("a", "/a")), (ROUTES, "b"))

    assert names(found.gateway) == ["a"]
    assert found.absent == {Part(ROUTES, "b")}


def test_routes_stand_in_the_order_in_which_they_are_tried() -> None:
    last = gateway(route("z", "/a"), route("a", "/*"))
    new = gateway(route("z", "/a", timeout="9s"), route("a", "/*"), route("m", "/m"))

    assert [item.name for item in held(new, last, (ROUTES, "z")).gateway.routes] == [item.name for item in new.routes]


def test_an_old_route_brings_the_upstream_that_it_needs() -> None:
    last = gateway(route("a", "/a", upstream="chat"))
    new = gateway(route("a", "/a"), upstreams={"email": EMAIL})

    found = held(new, last, (ROUTES, "a")).gateway

    assert [item.name for item in found.upstreams] == ["chat", "email"]
    assert changed(found, last).routes == frozenset()


def test_an_old_route_goes_to_its_upstream_as_that_was_and_so_do_the_others_of_the_edit() -> None:
    """The upstream's new credential was meant for the route's new rules."""
    credential = {**EMAIL, "credential": {"header": "x-key", "value": "a-key-of-the-gateway"}}
    last = gateway(route("a", "/a"), route("b", "/b"), route("c", "/c"))
    new = gateway(
        private("a", "/a"), private("b", "/b"), route("c", "/c"), upstreams={"email": credential, "chat": CHAT}
    )

    found = held(new, last, (ROUTES, "a"))

    assert found.gateway == last
    assert found.parts == {
        Part(ROUTES, "a"): "bad",
        Part(UPSTREAMS, "email"): "route 'a', which is held back, needs it as it was",
        Part(ROUTES, "b"): "it needs upstream 'email', which is held back",
    }


def test_an_upstream_stays_as_it_was_with_the_routes_that_were_written_for_it() -> None:
    last = gateway(route("a", "/a"), route("b", "/b"), route("c", "/c", upstream="chat"))
    moved = {"email": {"url": "http://127.0.0.1:9009/v2"}, "chat": CHAT}
    new = gateway(route("a", "/a"), route("b", "/b"), route("c", "/c", upstream="chat", timeout="9s"), upstreams=moved)

    found = held(new, last, (UPSTREAMS, "email"))

    assert found.parts.keys() == {Part(UPSTREAMS, "email"), Part(ROUTES, "a"), Part(ROUTES, "b")}
    assert changed(found.gateway, last).routes == {"c"}
    assert changed(found.gateway, last).upstreams == frozenset()


def test_routes_to_a_new_upstream_wait_with_it() -> None:
    last = gateway(route("a", "/a"), upstreams={"email": EMAIL})
    new = gateway(route("a", "/a"), route("b", "/b", upstream="chat"), route("c", "/c"))

    found = held(new, last, (UPSTREAMS, "chat"))

    assert (names(found.gateway), [item.name for item in found.gateway.upstreams]) == (["a", "c"], ["email"])
    assert found.absent == {Part(UPSTREAMS, "chat"), Part(ROUTES, "b")}


def test_an_upstream_is_marked_for_the_routes_that_are_there() -> None:
    last = gateway(route("a", "/a"))
    new = gateway(route("a", "/a"), route("kept", "/kept", cache={}), route("b", "/b"))

    found = held(new, last, (ROUTES, "kept")).gateway

    assert [item.cached for item in new.upstreams] != [item.cached for item in found.upstreams]
    assert found.upstreams == last.upstreams


def test_without_a_last_good_one_what_is_blamed_is_away() -> None:
    new = gateway(route("a", "/a"), route("b", "/b", upstream="chat"))

    assert names(held(new, None, (ROUTES, "a")).gateway) == ["b"]
    assert names(held(new, None, (UPSTREAMS, "chat")).gateway) == ["a"]


# Last good routes, new ones, and the one that is held back: nothing of these edits goes live.
OPENING = [
    pytest.param(
        [],
        [private("guard", "/admin/*"), route("all", "/*")],
        "guard",
        "all",
        id="its requests fall to a new public one",
    ),
    pytest.param(
        [private("all", "/*")],
        [private("guard", "/admin/*"), route("all", "/*")],
        "guard",
        "all",
        id="its requests fall to one that was opened",
    ),
    pytest.param(
        [private("old", "/admin/*"), route("all", "/*")],
        [private("renamed", "/admin/*"), route("all", "/*")],
        "renamed",
        "old",
        id="it took the place of one that is gone",
    ),
    pytest.param(
        [private("guard", "/admin/*"), route("all", "/*")],
        [private("all", "/*")],
        "all",
        "guard",
        id="its old version gets what one that is gone had guarded",
    ),
    pytest.param(
        [private("guard", "/api/*"), route("all", "/*")],
        [private("guard", "/api/v2/*"), private("all", "/*")],
        "all",
        "guard",
        id="its old version gets what one that was narrowed had guarded",
    ),
    pytest.param(
        [route("wide", "/api/*")],
        [route("wide", "/public/*"), private("guard", "/api/*")],
        "wide",
        "guard",
        id="its old version keeps requests from a new one",
    ),
    pytest.param(
        [],
        [private("guard", path="/admin", headers={"x-a": "1"}), route("open", "/admin")],
        "guard",
        "open",
        id="told apart by a header",
    ),
    pytest.param(
        [],
        [{**private("guard"), "match": {"path_regex": "/ad[a-z]+"}}, route("open", "/admin/*")],
        "guard",
        "open",
        id="an expression that may match the same",
    ),
    pytest.param(
        [],
        [private("guard", "/a", hosts=["x.example.com"]), route("open", "/a", hosts=["*.example.com"])],
        "guard",
        "open",
        id="a wider host",
    ),
    pytest.param(
        [],
        [private("guard", "/a/{id}", methods=["GET"]), route("open", "/a/*")],
        "guard",
        "open",
        id="any method",
    ),
]


@pytest.mark.parametrize(("before", "after", "name", "other"), OPENING)
def test_an_edit_is_refused_as_a_whole_where_holding_back_would_open_something(
    before: list[dict[str, Any]], after: list[dict[str, Any]], name: str, other: str
) -> None:
    last = gateway(*before)

    with pytest.raises(Inseparable) as refused:
        held(gateway(*after), last, (ROUTES, name))

    assert f"route {name!r}" in str(refused.value)
    assert repr(other) in str(refused.value)
    assert "nothing of this edit goes live" in str(refused.value)


# The same, where requests are answered as before, or as meant.
HARMLESS = [
    pytest.param(
        [route("all", "/*")], [private("guard", "/admin/*"), route("all", "/*")], "guard", id="they fall to an old one"
    ),
    pytest.param(
        [private("guard", "/admin/*"), route("all", "/*")],
        [private("guard", "/admin/*", timeout="9s"), route("all", "/*", timeout="9s")],
        "guard",
        id="it takes what it took",
    ),
    pytest.param(
        [private("guard", "/admin/*"), route("all", "/*")],
        [private("guard", "/admin/*", timeout="9s"), route("all", "/*", timeout="9s")],
        "all",
        id="the other takes what it took",
    ),
    pytest.param([], [route("a", "/a/*"), private("inner", "/a/b")], "a", id="the other comes first"),
    pytest.param([], [private("a", "/a"), route("b", "/b/*")], "a", id="other paths"),
    pytest.param(
        [], [private("a", "/a", hosts=["a.example.com"]), route("b", "/a", hosts=["b.example.com"])], "a", id="hosts"
    ),
    pytest.param([], [private("a", "/a", methods=["GET"]), route("b", "/a", methods=["POST"])], "a", id="methods"),
    pytest.param([], [private("a", "/a", headers={"v": "1"}), route("b", "/a", headers={"v": "2"})], "a", id="headers"),
    pytest.param(
        [],
        [{**private("a"), "match": {"path_regex": "/x[0-9]+"}}, route("b", "/y/*")],
        "a",
        id="an expression that begins in another way",
    ),
]


@pytest.mark.parametrize(("before", "after", "name"), HARMLESS)
def test_an_edit_goes_live_but_for_a_route_where_that_opens_nothing(
    before: list[dict[str, Any]], after: list[dict[str, Any]], name: str
) -> None:
    last, new = gateway(*before), gateway(*after)

    found = held(new, last, (ROUTES, name)).gateway

    assert route_of(found, name) == route_of(last, name)
    assert [route_of(found, item) for item in names(new) if item != name] == [
        route_of(new, item) for item in names(new) if item != name
    ]


def test_nothing_goes_back_beside_a_changed_identity() -> None:
    """The new token was made for the route as it is now."""
    last, new = gateway(private("a", "/a")), gateway(private("a", "/a", timeout="9s"), identity=TWO_TOKENS)

    with pytest.raises(Inseparable, match=r"route 'a' would go back .* beside changed identity"):
        held(new, last, (ROUTES, "a"))


def test_what_is_new_may_stay_away_beside_a_changed_identity() -> None:
    last, new = gateway(private("a", "/a")), gateway(private("a", "/a"), private("b", "/b"), identity=TWO_TOKENS)

    found = held(new, last, (ROUTES, "b")).gateway

    assert (names(found), len(found.bearer_tokens)) == (["a"], 2)


def test_an_edit_of_more_routes_than_can_be_compared_is_refused_as_a_whole() -> None:
    new = gateway(*(route(f"r{number}", f"/r{number}") for number in range(1002)))

    with pytest.raises(Inseparable):
        held(new, gateway(), *((ROUTES, f"r{number}") for number in range(501)))


def listeners(**named: dict[str, Any]) -> dict[str, Any]:
    return {name: {"address": "127.0.0.1:8800", **written} for name, written in named.items()}


AUTHORITY = Authority()


def tls(**changes: Any) -> dict[str, Any]:
    certificate, key = AUTHORITY.issue("localhost")
    return {"certificate": certificate, "private_key": key, **changes}


def test_a_certificate_stays_as_it_was_and_routes_change() -> None:
    last = gateway(route(), listeners=listeners(public={"tls": tls()}))
    new = gateway(route(timeout="9s"), listeners=listeners(public={"tls": tls()}))

    found = held(new, last, (LISTENERS, "public")).gateway

    assert (found.listeners, found.routes) == (last.listeners, new.routes)


def test_a_new_listener_stays_away() -> None:
    last = gateway(route(), listeners=listeners(public={}))
    new = gateway(route(timeout="9s"), listeners=listeners(public={}, more={"address": "127.0.0.1:8802"}))

    assert held(new, last, (LISTENERS, "more")).gateway.listeners == last.listeners


OTHER_DOOR = {"address": "127.0.0.1:8802"}
CLOSED_DOORS = [
    pytest.param(
        listeners(public={"tls": tls()}),
        listeners(public={"tls": tls(client_ca=AUTHORITY.pem, client_certificate="required")}),
        "public",
        "beside other changes",
        id="a listener that lets in more than the new one",
    ),
    pytest.param(
        listeners(public={}), listeners(renamed={}), "renamed", "took the place of listener 'public'", id="a new name"
    ),
]


@pytest.mark.parametrize(("before", "after", "name", "message"), CLOSED_DOORS)
def test_no_listener_goes_back_to_where_it_would_let_in_others(
    before: dict[str, Any], after: dict[str, Any], name: str, message: str
) -> None:
    last, new = gateway(route(), listeners=before), gateway(route("email", timeout="9s"), listeners=after)

    with pytest.raises(Inseparable, match=message):
        held(new, last, (LISTENERS, name))


def test_no_listener_goes_back_to_where_another_one_is_now() -> None:
    last = gateway(route(), listeners=listeners(public={}))
    new = gateway(route(), listeners=listeners(public=OTHER_DOOR, more={}))

    with pytest.raises(Inseparable, match="in whose place is listener 'more'"):
        held(new, last, (LISTENERS, "public"))


def test_a_listener_that_alone_has_changed_goes_back() -> None:
    last = gateway(route(), listeners=listeners(public={}))
    new = gateway(route(), listeners=listeners(public={"trusted_proxies": ["10.0.0.0/8"]}))

    assert held(new, last, (LISTENERS, "public")).gateway == last
