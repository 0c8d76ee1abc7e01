"""From an edit of the file to the first request that the new configuration answers."""

import time
from http.client import HTTPConnection
from typing import Any

import yaml

from bench.load import LoadFailed
from service_kit.clock import Clock
from tests.support.gateway import Gateway

# Between two questions; it is the grain of the figure.
POLL_SECONDS = 0.002
PATIENCE = 20.0
OK = 200


def edit_to_live(gateway: Gateway, count: int, clock: Clock) -> list[float]:
    """Seconds of each of so many edits, one public route more each time."""
    return [_added(gateway, f"edit-{number}", clock) for number in range(count)]


def _added(gateway: Gateway, name: str, clock: Clock) -> float:
    content: dict[str, Any] = yaml.safe_load(gateway.file.read_text(encoding="utf-8"))
    upstream = next(iter(content["upstreams"]))
    content["routes"].append({"name": name, "match": {"path": f"/{name}"}, "upstream": upstream, "auth": "none"})
    connection = HTTPConnection("127.0.0.1", gateway.port, timeout=PATIENCE)
    try:
        connection.connect()
        gateway.write(content)
        start = clock.monotonic()
        while not _serves(connection, f"/{name}"):
            if clock.monotonic() - start > PATIENCE:
                raise LoadFailed(f"an edit was not live after {PATIENCE:g} s")
            time.sleep(POLL_SECONDS)
        return clock.monotonic() - start
    finally:
        connection.close()


def _serves(connection: HTTPConnection, path: str) -> bool:
    connection.request("GET", path)
    response = connection.getresponse()
    response.read()
    return response.status == OK
