"""Refusals in the shape that a client of the route's API reads."""

import json
from typing import Any

import pytest

from tests.support.authz import BEARER, Gate, gate


def told(at: Gate, *authorization: str, **demands: str) -> Any:
    return json.loads(at.ask(*authorization, **demands).message.denied_response.body)


@pytest.mark.parametrize(
    ("authorization", "demands", "kind", "code"),
    [
        pytest.param(("a", "b"), {}, "invalid_request_error", "ambiguous_credentials", id="400"),
        pytest.param((), {}, "authentication_error", "missing_credential", id="401"),
        pytest.param(("Bearer a-token",), {}, "authentication_error", "unknown_token", id="another-401"),
        pytest.param(("usual",), {"scopes": "models"}, "permission_error", "missing_scope", id="403"),
    ],
)
def test_clients_of_openai(authorization: tuple[str, ...], demands: dict[str, str], kind: str, code: str) -> None:
    sent = [f"Bearer {BEARER}" if text == "usual" else text for text in authorization]
    error = told(gate(), *sent, dialect="openai", **demands)["error"]
    plain = told(gate(), *sent, **demands)["error"]

    assert error == {**plain, "type": kind, "param": None}
    assert error["code"] == code


def test_clients_of_ollama() -> None:
    assert told(gate(), dialect="ollama") == {"error": told(gate())["error"]["message"]}


def test_faults_of_ours_have_the_shape_too() -> None:
    error = told(Gate(), dialect="openai")["error"]

    assert (error["type"], error["code"]) == ("api_error", "not_ready")
    assert isinstance(told(Gate(told=False), dialect="ollama")["error"], str)


def test_who_may_pass_hears_of_no_dialect() -> None:
    assert gate().ask(f"Bearer {BEARER}", dialect="openai").allowed
