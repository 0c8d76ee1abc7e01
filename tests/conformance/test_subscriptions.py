"""Statements 25 to 43: what a client is interested in."""

import pytest

from control_plane.server.types import short_name
from control_plane.xds.names import CLUSTER_TYPE, ENDPOINTS_TYPE, LISTENER_TYPE, ROUTES_TYPE, SECRET_TYPE
from tests.conformance.client import Client
from tests.conformance.modes import in_every_mode, of_types
from tests.conformance.server import Server, world
from tests.support.xds import cluster, endpoints, listener, routes, secret


def clusters(*names: str, timeout: int = 1000) -> list:
    return [cluster(name, connect_ms=timeout) for name in names]


@in_every_mode
async def test_25_a_request_replaces_the_earlier_one(server: Server, client: Client) -> None:
    server.serve(*(endpoints(name, 1) for name in "abc"))
    await client.ask(ENDPOINTS_TYPE, "a", "b")
    await client.take()
    await client.want(ENDPOINTS_TYPE, "c")
    assert (await client.take()).names == ["c"]
    server.serve(*(endpoints(name, 2) for name in "ab"), endpoints("c", 1))
    await client.silent()


@in_every_mode
async def test_26_a_newly_named_resource_is_sent_though_its_version_is_known(server: Server, client: Client) -> None:
    server.serve(endpoints("a", 1), endpoints("b", 1))
    await client.ask(ENDPOINTS_TYPE, "a")
    assert (await client.take()).names == ["a"]
    await client.ask(ENDPOINTS_TYPE, "b")
    assert "b" in (await client.take()).names

    await client.drop(ENDPOINTS_TYPE, "b")
    await client.ask(ENDPOINTS_TYPE, "b")
    assert "b" in (await client.take()).names, "though it was sent before"


@in_every_mode
async def test_26_a_cluster_that_came_unasked_is_sent_when_it_is_named(server: Server, client: Client) -> None:
    server.serve(*clusters("a", "b"))
    await client.ask(CLUSTER_TYPE)
    await client.take()
    await client.ask(CLUSTER_TYPE, "*", "b")

    assert "b" in (await client.take()).names


@of_types(CLUSTER_TYPE, ENDPOINTS_TYPE)
@in_every_mode
async def test_27_a_dropped_name_makes_no_response(server: Server, client: Client, type_url: str) -> None:
    server.serve(*clusters("a", "b"), endpoints("a", 1), endpoints("b", 1))
    await client.ask(type_url, "a", "b")
    await client.take()
    await client.drop(type_url, "b")
    await client.silent()

    server.serve(*clusters("a"), *clusters("b", timeout=2), endpoints("a", 1), endpoints("b", 2))
    await client.silent()


@pytest.mark.parametrize(
    "type_url", [CLUSTER_TYPE, ENDPOINTS_TYPE, LISTENER_TYPE, ROUTES_TYPE, SECRET_TYPE], ids=short_name
)
@in_every_mode
async def test_28_a_name_of_nothing_is_pushed_once_it_is_something(
    server: Server, client: Client, type_url: str
) -> None:
    server.serve()
    await client.ask(type_url, "later")
    await client.rest()
    server.serve(
        cluster("later"), endpoints("later", 1), listener("later", "r"), routes("later", a="a"), secret("later")
    )

    assert (await client.take(type_url)).names == ["later"]


@pytest.mark.parametrize(
    "type_url", [CLUSTER_TYPE, ENDPOINTS_TYPE, LISTENER_TYPE, ROUTES_TYPE, SECRET_TYPE], ids=short_name
)
@in_every_mode
async def test_29_a_name_of_nothing_is_answered_at_once(server: Server, client: Client, type_url: str) -> None:
    server.serve(*world())
    await client.ask(type_url, "nothing")
    assert (await client.take()).names == ["-nothing"]
    await client.silent()

    await client.ask(type_url, "*", "nothing-either")
    assert "-nothing-either" in (await client.take()).names


@pytest.mark.parametrize(
    ("type_url", "names"),
    [(CLUSTER_TYPE, ["a", "b"]), (LISTENER_TYPE, ["front", "inner"])],
    ids=["cluster", "listener"],
)
@in_every_mode
async def test_30_naming_nothing_at_first_means_all(
    server: Server, client: Client, type_url: str, names: list[str]
) -> None:
    server.serve(*clusters("a", "b"), listener("front", "r"), listener("inner", "r"))
    await client.ask(type_url)
    assert (await client.take()).names == names

    await client.ask(type_url)
    await client.silent()


@in_every_mode
async def test_30_naming_nothing_after_a_name_means_nothing(server: Server, client: Client) -> None:
    server.serve(*clusters("a", "b"))
    await client.ask(CLUSTER_TYPE, "a")
    assert (await client.take()).names == ["a"]
    await client.drop(CLUSTER_TYPE, "a")
    await client.ask(CLUSTER_TYPE)
    await client.silent()

    server.serve(*clusters("a", "b", timeout=2))
    await client.silent()


@of_types(CLUSTER_TYPE, LISTENER_TYPE)
@in_every_mode
async def test_31_an_asterisk_means_all_in_the_first_request(server: Server, client: Client, type_url: str) -> None:
    server.serve(*clusters("a", "b"), listener("a", "r"), listener("b", "r"))
    await client.ask(type_url, "*")

    assert (await client.take(type_url)).names == ["a", "b"]


@in_every_mode
async def test_31_an_asterisk_means_all_in_a_later_request(server: Server, client: Client) -> None:
    server.serve(*clusters("a", "b"))
    await client.ask(CLUSTER_TYPE, "a")
    assert (await client.take()).names == ["a"]
    await client.ask(CLUSTER_TYPE, "*")
    assert "b" in (await client.take()).names

    server.serve(*clusters("a", "b", "c"))
    assert "c" in (await client.take()).names


@in_every_mode
async def test_32_the_worked_example_ends_without_a_subscription(server: Server, client: Client) -> None:
    server.serve(*clusters("a", "b"))
    await client.ask(CLUSTER_TYPE)
    assert (await client.take()).names == ["a", "b"]
    await client.ask(CLUSTER_TYPE, "*", "a")
    await client.rest()
    await client.drop(CLUSTER_TYPE, "*")
    await client.rest()
    server.serve(*clusters("a", "b", timeout=2))
    assert (await client.take()).names == ["a"], "what is named is still wanted"

    await client.drop(CLUSTER_TYPE, "a")
    await client.silent()
    server.serve(*clusters("a", "b", "c", timeout=3))
    await client.silent()


@in_every_mode
async def test_33_a_name_beside_the_asterisk_is_delivered(server: Server, client: Client) -> None:
    server.serve(*clusters("a"))
    await client.ask(CLUSTER_TYPE, "*", "later")
    assert "a" in (await client.take()).names
    server.serve(*clusters("a", "later"))
    assert "later" in (await client.take()).names

    await client.drop(CLUSTER_TYPE, "*")
    await client.rest()
    server.serve(*clusters("a"), *clusters("later", timeout=2))
    assert (await client.take()).names == ["later"], "it was wanted by its own name"


@in_every_mode
async def test_34_a_name_dropped_under_the_asterisk_is_answered(server: Server, client: Client) -> None:
    server.serve(*clusters("a", "b"))
    await client.ask(CLUSTER_TYPE, "*", "a", "nothing")
    assert (await client.take()).names == ["a", "b", "-nothing"]
    await client.drop(CLUSTER_TYPE, "a")
    (again,) = await client.rest()
    assert (again.names, again.bodies["a"]) == (["a"], cluster("a").body)
    await client.drop(CLUSTER_TYPE, "nothing")
    (answer,) = await client.rest()
    assert answer.names == ["-nothing"]

    server.serve(*clusters("a", timeout=2), *clusters("b"))
    assert (await client.take()).names == ["a"], "the asterisk still covers it"


@in_every_mode
async def test_35_dropping_the_asterisk_keeps_what_is_named(server: Server, client: Client) -> None:
    server.serve(*clusters("a", "b", "c"))
    await client.ask(CLUSTER_TYPE, "*", "a")
    await client.take()
    await client.drop(CLUSTER_TYPE, "*")
    await client.silent()
    server.serve(*clusters("a", "b", timeout=2))
    assert (await client.take()).names == ["a"]
    await client.silent()


@pytest.mark.parametrize(
    ("type_url", "name"),
    [(CLUSTER_TYPE, "a"), (ENDPOINTS_TYPE, "a"), (ROUTES_TYPE, "r"), (SECRET_TYPE, "s")],
    ids=short_name,
)
@in_every_mode
async def test_36_a_known_name_that_is_subscribed_again_is_sent_again(
    server: Server, client: Client, type_url: str, name: str
) -> None:
    server.serve(*world())
    await client.ask(type_url, name)
    first = await client.take()
    await client.ask(type_url, name)
    second = await client.take()

    assert (second.bodies, second.versions) == (first.bodies, first.versions)


@in_every_mode
async def test_36_a_name_that_the_asterisk_covers_is_sent_again_when_it_is_subscribed(
    server: Server, client: Client
) -> None:
    server.serve(*clusters("a", "b"))
    await client.ask(CLUSTER_TYPE, "*")
    await client.take()
    await client.ask(CLUSTER_TYPE, "b")

    assert (await client.take()).names == ["b"]


@in_every_mode
async def test_37_dropping_what_was_never_asked_for_changes_nothing(server: Server, client: Client) -> None:
    server.serve(endpoints("a", 1), endpoints("b", 1))
    await client.ask(ENDPOINTS_TYPE, "a")
    await client.take()
    await client.drop(ENDPOINTS_TYPE, "b", "of-nothing")
    await client.silent()
    server.serve(endpoints("a", 2), endpoints("b", 2))

    assert (await client.take()).names == ["a"]


@pytest.mark.parametrize("names", [["a", "a"], ["*", "a", "*", "b"]], ids=["twice-named", "covered-and-named"])
@in_every_mode
async def test_38_no_response_holds_a_resource_twice(server: Server, client: Client, names: list[str]) -> None:
    server.serve(*clusters("a", "b"))
    if client.mode.delta:
        await client.send(CLUSTER_TYPE, resource_names_subscribe=names)
    else:
        await client.want(CLUSTER_TYPE, *names)
    assert (await client.take()).names == (["a", "b"] if "*" in names else ["a"])

    server.serve(*clusters("a", timeout=2), *clusters("b"))
    assert (await client.take()).names.count("a") == 1


@of_types(ENDPOINTS_TYPE, ROUTES_TYPE, SECRET_TYPE)
@in_every_mode
async def test_39_naming_nothing_means_nothing_of_types_that_are_asked_by_name(
    server: Server, client: Client, type_url: str
) -> None:
    server.serve(*world())
    await client.ask(type_url)
    await client.silent()
    server.serve(*world(text="another", port=81, path="b"))
    await client.silent()


@in_every_mode
async def test_40_names_that_come_and_go_in_one_message_have_one_result(server: Server, client: Client) -> None:
    server.serve(*(endpoints(name, 1) for name in "abcd"))
    await client.ask(ENDPOINTS_TYPE, "a", "b")
    await client.take()
    await client.send(
        ENDPOINTS_TYPE, resource_names_subscribe=["c", "d"], resource_names_unsubscribe=["a", "d", "nothing"]
    )
    assert (await client.take()).names == ["c"]
    server.serve(*(endpoints(name, 2) for name in "abcd"))

    assert (await client.take()).names == ["b", "c"]
    await client.silent()


@pytest.mark.parametrize(
    "type_url", [CLUSTER_TYPE, LISTENER_TYPE, ENDPOINTS_TYPE, ROUTES_TYPE, SECRET_TYPE], ids=short_name
)
@in_every_mode
async def test_41_nothing_is_sent_that_was_not_asked_for(server: Server, client: Client, type_url: str) -> None:
    def served(number: int) -> None:
        kinds = (
            (cluster(name, connect_ms=number), endpoints(name, number), listener(name, "r", port=number))
            for name in "abc"
        )
        named = ((routes(name, **{f"p{number}": "a"}), secret(name, str(number))) for name in "abc")
        server.serve(*(item for items in (*kinds, *named) for item in items))

    served(1)
    await client.ask(type_url, "b")
    assert (await client.take(type_url)).names == ["b"]
    served(2)
    assert (await client.take(type_url)).names == ["b"]
    await client.silent()


@in_every_mode
async def test_42_resources_have_no_aliases(server: Server, client: Client) -> None:
    server.serve(*world())
    await client.ask(ROUTES_TYPE, "r")

    assert [item.aliases for item in (await client.take()).given] == [()]


@in_every_mode
async def test_43_a_pattern_is_a_name_of_nothing(server: Server, client: Client) -> None:
    server.serve(endpoints("prefix/a", 1), endpoints("prefix/b", 1))
    await client.ask(ENDPOINTS_TYPE, "prefix/*")

    assert [found.names for found in await client.rest()] == ([["-prefix/*"]] if client.mode.delta else [])
