"""An authorizer that is broken, or somebody else's: Envoy takes no answer of it for more than it may say.

Lines 1 to 3 and 8 of the hardening list; CVE-2023-27491 and CVE-2023-27493.
"""

import json
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event
from typing import Any
from uuid import uuid4

import grpc
import pytest
from envoy.service.auth.v3 import external_auth_pb2 as auth_pb
from grpc_health.v1.health_pb2 import HealthCheckResponse

from control_plane.compile import compile_file, snapshots
from control_plane.envoy_check import static_bootstrap
from service_kit.contract import identity_header
from service_kit.endpoint import unix_endpoint
from tests.security.conftest import besieged_config
from tests.support.compiled import WIRING, written
from tests.support.envoy import static_envoy
from tests.support.eventually import until
from tests.support.gateway import with_addresses
from tests.support.ports import free_port
from tests.support.recorder import Recorder, running_recorder
from tests.support.wire import Answer, answers_to, request

Said = Callable[[auth_pb.CheckRequest, grpc.ServicerContext], bytes]


@dataclass
class Stage:
    """An Envoy, and an authorizer that says what it is told to."""

    port: int
    private: Recorder
    says: Said

    def play(self, says: Said) -> tuple[Answer, int]:
        """The answer to a request, and how often it reached the upstream."""
        self.says, marker = says, uuid4().hex
        (answer,) = answers_to(self.port, request(f"/private/{marker}", b"Authorization: Bearer x"))
        return answer, len(self.private.of(marker))


def serving(_data: bytes, _context: grpc.ServicerContext) -> bytes:
    return HealthCheckResponse(status=HealthCheckResponse.SERVING).SerializeToString()


@contextmanager
def listening(path: Path, stage: Stage) -> Iterator[None]:
    def answer(data: bytes, context: grpc.ServicerContext) -> bytes:
        return stage.says(auth_pb.CheckRequest.FromString(data), context)

    server = grpc.server(ThreadPoolExecutor(4))
    for service, says in (("envoy.service.auth.v3.Authorization", answer), ("grpc.health.v1.Health", serving)):
        method = {"Check": grpc.unary_unary_rpc_method_handler(says)}
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, method),))
    server.add_insecure_port(f"unix:{path}")
    server.start()
    try:
        yield
    finally:
        server.stop(None).wait()


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with tempfile.TemporaryDirectory(prefix="stage") as name, running_recorder() as private:
        folder, port, socket = Path(name), free_port(), Path(name) / "authz.sock"
        config = with_addresses(besieged_config(private, private, folder), port, free_port())
        wiring = replace(WIRING, authz=unix_endpoint(socket))
        envoy, _ = snapshots(compile_file(written(folder, config), {}).gateway, wiring)
        found = Stage(port, private, lambda _request, _context: b"")
        with listening(socket, found), static_envoy(static_bootstrap(envoy), folder):
            until(lambda: found.play(changed())[1])
            yield found


def yes(request: auth_pb.CheckRequest, **changes: str | None) -> auth_pb.CheckResponse:
    """What the authorizer would say, with headers changed, added, or left out."""
    profile = request.attributes.context_extensions["profile"]
    parts = {identity_header(part): "-" for part in ("tenant", "consumer", "plan", "key-id", "models")}
    headers = {**parts, identity_header("subject"): "ada", identity_header("profile"): profile, **changes}
    response = auth_pb.CheckResponse()
    response.ok_response.SetInParent()
    for name, value in headers.items():
        if value is not None:
            response.ok_response.headers.add().header.key = name
            response.ok_response.headers[-1].header.value = value
    return response


def changed(**changes: str | None) -> Said:
    return lambda request, _context: yes(request, **changes).SerializeToString()


def removing(name: str) -> Said:
    def says(request: auth_pb.CheckRequest, _context: grpc.ServicerContext) -> bytes:
        response = yes(request)
        response.ok_response.headers_to_remove.append(name)
        return response.SerializeToString()

    return says


def told(**fields: Any) -> Said:
    return lambda _request, _context: auth_pb.CheckResponse(**fields).SerializeToString()


def failing(_request: auth_pb.CheckRequest, context: grpc.ServicerContext) -> bytes:
    context.abort(grpc.StatusCode.INTERNAL, "no")
    raise AssertionError


def silent(_request: auth_pb.CheckRequest, context: grpc.ServicerContext) -> bytes:
    """Until Envoy has heard enough."""
    ended = Event()
    context.add_callback(ended.set)
    ended.wait(20)
    return b""


# What is said, and what the client hears.
WORDS = {
    "nothing": (told(), 403, "route_changed"),
    "no, and nothing else": (told(status={"code": 7}), 403, None),
    "no, with a yes": (told(status={"code": 7}, ok_response={}), 403, None),
    "an error of its own": (told(status={"code": 13}, error_response={}), 503, "authorization_unavailable"),
    "a failure": (failing, 503, "authorization_unavailable"),
    "bytes of something else": (lambda _request, _context: b"\xff\xff\xff", 503, "authorization_unavailable"),
    "silence": (silent, 503, "authorization_unavailable"),
    "yes, for another route": (changed(**{identity_header("profile"): "p-000000000000"}), 403, "route_changed"),
    "yes, for a public route": (changed(**{identity_header("profile"): "-"}), 403, "route_changed"),
    "yes, without a route": (changed(**{identity_header("profile"): None}), 403, "route_changed"),
    **{
        f"yes, and {name} is {value!r}": (changed(**{name: value}), 503, "authorization_unavailable")
        for name, value in (
            ("x-tollgate-subject", "a\r\nx-tollgate-plan: pro"), ("x-tollgate-subject", "a\x00b"),
            ("x-tollgate\r\n-a", "b"),
        )
    },
}  # fmt: skip


@pytest.mark.parametrize("words", WORDS)
def test_what_is_no_answer_opens_nothing(stage: Stage, words: str):
    says, status, code = WORDS[words]
    answer, arrived = stage.play(says)

    assert arrived == 0
    assert (answer.status, json.loads(answer.body)["error"]["code"] if answer.body else None) == (status, code)


@pytest.mark.parametrize(
    "says",
    [
        pytest.param(changed(host="admin.example.com"), id="host"),
        pytest.param(changed(**{":method": "POST"}), id="method"),
        pytest.param(changed(**{"x-envoy-original-path": "/public"}), id="x-envoy"),
        pytest.param(changed(**{"x-forwarded-for": "203.0.113.7"}), id="x-forwarded-for"),
        pytest.param(changed(**{"content-length": "0"}), id="content-length"),
        pytest.param(changed(**{"x-request-id": "mine"}), id="x-request-id"),
        pytest.param(removing("x-request-id"), id="removed"),
        pytest.param(removing(":path"), id="pseudo-header-removed"),
    ],
)
def test_it_changes_nothing_but_what_it_may(stage: Stage, says: Said):
    """It may take a parameter from the path where keys are looked for in queries, and change what is ours."""
    right, wrong = (without_marks(stage, words) for words in (changed(), says))

    assert wrong == right


def without_marks(stage: Stage, says: Said) -> object:
    answer, arrived = stage.play(says)
    assert (answer.status, arrived) == (200, 1)
    seen = stage.private.requests[-1]
    return seen.line.split(b"/")[:2], [pair for pair in seen.headers if pair[0] != b"x-request-id"]
