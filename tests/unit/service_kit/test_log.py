"""One JSON object a line; no field that looks like a secret is ever written."""

import json
from io import StringIO
from typing import Any

import pytest

from service_kit.log import REDACTED, configure_logs


def lines(level: str = "info", **fields: Any) -> list[dict[str, Any]]:
    """What is written where each level logs once."""
    stream = StringIO()
    log = configure_logs("service", level=level, stream=stream)
    for method in (log.debug, log.info, log.warning, log.error):
        method("event", **fields)
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_says_when_who_what() -> None:
    found = lines(route="email")[0]

    assert found.pop("timestamp").endswith("Z")
    assert found == {"level": "info", "process": "service", "event": "event", "route": "email"}


@pytest.mark.parametrize(("level", "written"), [("debug", 4), ("info", 3), ("warning", 2), ("ERROR", 1)])
def test_levels(level: str, written: int) -> None:
    assert len(lines(level)) == written


@pytest.mark.parametrize(
    "name",
    ["token", "Authorization", "admin_token", "client_secret", "PASSWORD", "cookie", "set_cookie", "x_api_key",
     "private_key", "proxy_authorization"],
)  # fmt: skip
def test_a_secret_is_never_written(name: str) -> None:
    found = lines(**{name: "hunter2", "route": "email"})

    assert {line[name] for line in found} == {REDACTED}
    assert "hunter2" not in json.dumps(found)
    assert {line["route"] for line in found} == {"email"}


def test_a_secret_that_is_bound_is_never_written() -> None:
    stream = StringIO()
    configure_logs("service", stream=stream).bind(token="hunter2").info("event")

    assert "hunter2" not in stream.getvalue()


def test_a_value_with_line_breaks_stays_on_its_line() -> None:
    assert len(lines("error", reason='a\n{"event": "forged"}')) == 1


def test_an_exception_is_text_in_its_line() -> None:
    stream = StringIO()
    log = configure_logs("service", stream=stream)
    try:
        int("boom")
    except ValueError:
        log.exception("failed")

    (line,) = stream.getvalue().splitlines()
    assert "ValueError: invalid literal" in json.loads(line)["exception"]
