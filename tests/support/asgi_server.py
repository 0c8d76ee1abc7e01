"""An ASGI application on a port, in a thread with a loop of its own, so that a test may block."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from starlette.types import ASGIApp


@contextmanager
def asgi_server(app: ASGIApp, port: int, *, host: str = "127.0.0.1", **options: Any) -> Iterator[None]:
    """Serves until the block ends, which must let go of answers that wait; `options` are uvicorn's."""
    server = uvicorn.Server(uvicorn.Config(app, host=host, port=port, log_config=None, lifespan="off", **options))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive(), f"nothing serves on port {port}"
            threading.Event().wait(0.01)
        yield
    finally:
        server.should_exit = True
        thread.join()
