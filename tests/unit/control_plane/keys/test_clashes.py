import pytest

from control_plane.keys.clashes import clashes, moved
from control_plane.keys.settings import StoreSettings
from control_plane.snapshot import resource, snapshot
from service_kit.contract import API_KEY_TYPE, CONSUMER_TYPE
from tests.support.compiled import compiled, config

HASH = "hmac-sha256:" + "0" * 64
ID = "5vg68MA6yzYr"
STORED = snapshot([resource(CONSUMER_TYPE, "acme", b""), resource(API_KEY_TYPE, ID, b"")])
RUNNING = StoreSettings("sqlite:///a", b"p" * 32)


def consumer(name, *keys):
    return {"name": name, "keys": [{"id": key, "hash": HASH} for key in keys]}


@pytest.mark.parametrize(
    ("consumers", "expected"),
    [
        pytest.param([consumer("other", "0" * 12)], "", id="none"),
        pytest.param(
            [consumer("other"), consumer("acme")],
            (
                "(consumers[1].name): a consumer 'acme' was made at run time, too; drop one: "
                "`tollgate consumers delete acme` deletes that and revokes its keys"
            ),
            id="consumer",
        ),
        pytest.param(
            [consumer("other", "0" * 12, ID)],
            (
                f"(consumers[0].keys[1].id): a key '{ID}' was made at run time, too; drop one: "
                f"`tollgate keys revoke {ID}` revokes that"
            ),
            id="key",
        ),
    ],
)
def test_what_is_stored_is_not_declared(consumers, expected):
    checked = compiled(config(consumers=consumers))

    located = [checked.loaded.marks.located(problem) for problem in clashes(checked.loaded.config, STORED)]

    dotted = [f"({str(error).partition('(')[2].partition(')')[0]}): {error.message}; {error.cure}" for error in located]
    assert "\n".join(dotted) == expected
    assert all(error.location.line > 1 for error in located)


@pytest.mark.parametrize(
    ("meant", "keys"),
    [
        (RUNNING, []),
        (StoreSettings("sqlite:///b", RUNNING.pepper), ["store"]),
        (StoreSettings(RUNNING.url, b"q" * 32), ["pepper"]),
        (StoreSettings("sqlite:///b", b"q" * 32), ["store", "pepper"]),
    ],
    ids=["same", "store", "pepper", "both"],
)
def test_neither_store_nor_pepper_are_exchanged_while_running(meant, keys):
    marks = compiled(config()).loaded.marks

    problems = list(moved(meant, RUNNING))

    assert [problem.path for problem in problems] == [("identity", "api_keys", key) for key in keys]
    assert all("restart the control plane" in str(marks.located(problem)) for problem in problems)
