"""Runs everything that stands behind the quickstart's gateway: five agents, the login, and the language model."""

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response

from examples.quickstart import ollama_api, openai_api
from examples.quickstart.accounts import accounts
from examples.quickstart.agents import ANSWERS, agent
from examples.quickstart.ollama_api import ollama_routes
from examples.quickstart.openai_api import openai_routes
from examples.quickstart.stand_in_model import PACE
from service_kit.clock import Clock, SystemClock
from service_kit.endpoint import EndpointError, TcpEndpoint
from service_kit.http import HttpServer

HOST = "127.0.0.1"
PORTS_VARIABLE = "TOLLGATE_QUICKSTART_PORTS"
PORTS = "187"
SECRET_VARIABLE = "TOLLGATE_QUICKSTART_SECRET"
OLLAMA_VARIABLE = "OLLAMA_BASE_URL"


def language_model(clock: Clock, *, pace: float = PACE) -> Starlette:
    """The stand-in for an Ollama server: both of the APIs that it speaks."""
    return Starlette(
        routes=[*openai_routes(clock, pace), *ollama_routes(clock, pace)],
        exception_handlers={openai_api.Refused: _refused, ollama_api.Refused: _refused},
    )


def _refused(_request: Request, error: Exception) -> Response:
    """The answer that the API gives in its own shape."""
    assert isinstance(error, openai_api.Refused | ollama_api.Refused)  # as they are registered
    return error.response


def apps(environ: Mapping[str, str]) -> list[Starlette]:
    """The applications in the order of their ports; a real Ollama takes the place of the stand-in."""
    services = [*(agent(name) for name in ANSWERS), accounts(environ[SECRET_VARIABLE])]
    return services if environ.get(OLLAMA_VARIABLE) else [*services, language_model(SystemClock())]


def port(environ: Mapping[str, str], number: int) -> int:
    """The port of a service, counted from 1: the configuration writes the same digits."""
    return int(f"{environ.get(PORTS_VARIABLE) or PORTS}{number:02}")


def language_model_url(environ: Mapping[str, str]) -> str:
    """The real Ollama where one is named, else the stand-in."""
    return environ.get(OLLAMA_VARIABLE) or f"http://{HOST}:{port(environ, len(ANSWERS) + 2)}"


async def serve(environ: Mapping[str, str]) -> None:
    """Serves until SIGTERM or SIGINT."""
    servers = [
        HttpServer(app, TcpEndpoint(HOST, port(environ, number))) for number, app in enumerate(apps(environ), start=1)
    ]
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, _stop, servers)
    print("serving", flush=True)
    await asyncio.gather(*(server.serve() for server in servers))


def _stop(servers: Sequence[HttpServer]) -> None:
    for server in servers:
        server.stop()


def main() -> None:
    try:
        asyncio.run(serve(os.environ))
    except EndpointError as error:
        raise SystemExit(f"error: {error}: set {PORTS_VARIABLE}, now {PORTS} for {PORTS}01 and so on") from error


if __name__ == "__main__":
    main()
