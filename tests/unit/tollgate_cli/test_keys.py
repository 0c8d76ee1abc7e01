"""`tollgate keys` and `consumers` against a real gRPC server on a real store: what is shown, and the exit codes."""

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest
from click.testing import Result
from typer.testing import CliRunner

from control_plane.admin.calls import Served
from control_plane.admin.identities import identities_rpc
from control_plane.keys.distribution import Told
from control_plane.keys.settings import kept_pepper
from service_kit.api_keys import key_hash, key_id, written_hash
from service_kit.clock import SystemClock
from tests.support.audit import audit_trail
from tests.support.operations import TOKEN
from tests.support.stored import Store, stored_in
from tollgate_cli.main import app

FINE, FAILED, WRONG, WAITING = 0, 1, 2, 3
ALL, NONE = Told(2, (), 0.004), Told(0, (), 0.0)
SOME = Told(1, ("authz-2", "authz-\x1b[31m3"), 2.0)


def tollgate(folder: Path, *arguments: str, stdin: str = "") -> Result:
    place = ("--state-dir", str(folder))
    return CliRunner().invoke(app, [*arguments, *place], input=stdin, env={"COLUMNS": "200"})


class Services:
    """Stands where the distribution does: what services have said is the test's."""

    def __init__(self, told: Told) -> None:
        self.told = told

    async def arrived(self) -> Told:
        return self.told


@contextmanager
def control_plane(folder: Path, told: Told = ALL) -> Iterator[None]:
    """One whose services say this, in a thread: the commands block, as they do in a process of their own."""
    (folder / "run").mkdir()
    (folder / "admin-token").write_text(f"{TOKEN}\n")
    loop, ready, end = asyncio.new_event_loop(), threading.Event(), asyncio.Event()

    async def serve() -> None:
        async with stored_in(folder, SystemClock()) as store:
            server = await _started(store, folder, told)
            ready.set()
            await end.wait()
            await server.stop(None)

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    try:
        assert ready.wait(10)
        yield
    finally:
        loop.call_soon_threadsafe(end.set)
        thread.join(10)
        loop.close()


async def _started(store: Store, folder: Path, told: Told) -> grpc.aio.Server:
    store.operations._distribution = Services(told)
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((identities_rpc(Served(store.operations, lambda: TOKEN, audit_trail())),))
    server.add_insecure_port(f"unix:{folder / 'run' / 'xds.sock'}")
    await server.start()
    return server


def test_a_key_is_shown_once_with_a_note(tmp_path: Path) -> None:
    with control_plane(tmp_path):
        made = tollgate(tmp_path, "keys", "create", "--consumer", "declared", "--expires", "2099-01-01",
                        "--models", "mistral, llama3.1:*")  # fmt: skip
        key = made.stdout.strip()
        listed = tollgate(tmp_path, "keys", "list")

    found = key_id(key.encode())
    assert made.exit_code == FINE
    assert made.stderr.splitlines() == [
        "Keep it now: it is shown this once, and kept nowhere.",
        f"{found} of declared, until 2099-01-01 00:00:00Z: 2 services in 4 ms",
    ]
    header, row = listed.stdout.splitlines()
    assert header.split() == [
        "ID",
        "CONSUMER",
        "PLAN",
        "SCOPES",
        "ROLES",
        "FROM",
        "MODELS",
        "STATE",
        "CREATED",
        "EXPIRES",
        "LAST",
        "USED",
    ]
    assert row.split()[:9] == [found, "declared", "-", "-", "-", "-", "llama3.1:*", "mistral", "active"]
    assert key not in listed.stdout


@pytest.mark.parametrize("pattern", ["a*b", "*a*", "**"])
def test_a_key_is_for_models_by_a_beginning_or_an_end(tmp_path: Path, pattern: str) -> None:
    with control_plane(tmp_path):
        made = tollgate(tmp_path, "keys", "create", "--consumer", "declared", "--models", f"mistral,{pattern}")

    assert (made.exit_code, made.stdout) == (FAILED, "")
    assert f"models: '{pattern}' is no pattern of models; write one `*`, first or last" in made.stderr


def test_programs_get_the_key_by_its_name(tmp_path: Path) -> None:
    with control_plane(tmp_path):
        made = json.loads(tollgate(tmp_path, "keys", "create", "--consumer", "declared", "--json").stdout)

    assert made["id"] == key_id(made["key"].encode())
    assert (made["details"]["expires"], made["told"]) == (0, {"services": 2, "waiting": [], "seconds": 0.004})


@pytest.mark.parametrize(
    ("told", "code", "says"),
    [
        pytest.param(SOME, WAITING, r"not yet everywhere: authz-2, authz-\x1b[31m3 did not answer", id="some wait"),
        pytest.param(NONE, FINE, "no service is connected", id="nobody"),
    ],
)
def test_what_is_not_everywhere_is_said(tmp_path: Path, told: Told, code: int, says: str) -> None:
    with control_plane(tmp_path, told):
        made = tollgate(tmp_path, "keys", "create", "--consumer", "declared", "--json")
        revoked = tollgate(tmp_path, "keys", "revoke", json.loads(made.stdout)["id"])
        shop = tollgate(tmp_path, "consumers", "create", "shop")

    for done in (made, revoked, shop):
        assert (done.exit_code, says in done.stderr) == (code, True)


def test_a_page_and_the_next(tmp_path: Path) -> None:
    with control_plane(tmp_path):
        for name in ("a", "b"):
            tollgate(tmp_path, "consumers", "create", name)
        first = tollgate(tmp_path, "consumers", "list", "--limit", "1").stdout
        second = tollgate(tmp_path, "consumers", "list", "--after", "a").stdout
        empty = tollgate(tmp_path, "consumers", "list", "--after", "b").stdout

    assert [line.split()[0] for line in first.splitlines()] == ["NAME", "a", "there"]
    assert [line.split()[0] for line in second.splitlines()] == ["NAME", "b"]
    assert empty == "there are no stored consumers\n"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        pytest.param(("keys", "create", "--consumer", "a", "--expires", "tomorrow"), "--expires", id="expires"),
        pytest.param(("keys", "rotate", "0" * 12, "--overlap", "soon"), "--overlap", id="overlap"),
        pytest.param(("keys", "create"), "--consumer", id="whose"),
        pytest.param(("keys", "create", "--consumer", "a", "--models", ""), "names no model", id="models"),
        pytest.param(("keys", "create", "--consumer", "a", "--models", " ,"), "names no model", id="only a comma"),
        pytest.param(("consumers", "update", "a"), "--tenant", id="nothing"),
    ],
)
def test_wrong_usage(tmp_path: Path, arguments: tuple[str, ...], says: str) -> None:
    done = tollgate(tmp_path, *arguments)

    assert (done.exit_code, says in done.stderr) == (WRONG, True)


def test_no_gateway(tmp_path: Path) -> None:
    done = tollgate(tmp_path, "keys", "list")

    assert (done.exit_code, done.stdout) == (FAILED, "")
    assert "no gateway runs at" in done.stderr


def test_a_hash_is_of_the_pepper_of_the_state_directory(tmp_path: Path) -> None:
    made = json.loads(tollgate(tmp_path, "keys", "hash", "--json").stdout)
    again = tollgate(tmp_path, "keys", "hash", "--stdin", stdin=f"{made['key']}\n")

    assert made["hash"] == written_hash(key_hash(kept_pepper(tmp_path), made["key"].encode()))
    assert again.stdout == f'- {{id: {made["id"]}, hash: "{made["hash"]}"}}\n'


def test_a_hash_is_of_the_pepper_of_the_configuration(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(
        "version: 1\nlisteners: {a: {address: 127.0.0.1:1}}\n"
        f"identity: {{api_keys: {{pepper: {'p' * 32}}}}}\n"
    )  # fmt: skip
    made = json.loads(tollgate(tmp_path, "keys", "hash", str(file), "--json").stdout)

    assert made["hash"] == written_hash(key_hash(b"p" * 32, made["key"].encode()))
    assert not (tmp_path / "key_pepper").exists()


@pytest.mark.parametrize("stdin", ["", "tgk_short", "tgk_" + "a" * 12 + "_" + "b" * 49])
def test_what_is_no_key_has_no_hash(tmp_path: Path, stdin: str) -> None:
    done = tollgate(tmp_path, "keys", "hash", "--stdin", stdin=stdin)

    assert (done.exit_code, done.stdout) == (WRONG, "")


def test_a_configuration_that_cannot_be_read_is_said_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("version: 1\nroutes: none\n")
    done = tollgate(tmp_path, "keys", "hash", str(tmp_path / "c.yaml"))

    assert (done.exit_code, "c.yaml:2:" in done.stderr) == (FAILED, True)
