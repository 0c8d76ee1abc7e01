"""Whether a configuration would go live: our own checks, and the real Envoy's verdict where its binary is at hand."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from control_plane.checked import Checked
from control_plane.compile import Compiler
from control_plane.gate.gate import Gate
from control_plane.reader import Reader
from control_plane.xds.wiring import Wiring
from service_kit.clock import SystemClock
from service_kit.endpoint import UnixEndpoint
from tollgate_cli.source import not_asked, show_warnings
from tollgate_cli.supervisor.envoy import envoy_at_hand

# Where services and logs are is no part of a configuration; a folder of logs that is not there yet is no mistake.
ANYWHERE: Final = UnixEndpoint(Path("/run/tollgate.sock"))
WIRING: Final = Wiring(ANYWHERE, ANYWHERE, "/dev/null", oauth=ANYWHERE, usage=ANYWHERE, translator=ANYWHERE)


def admitted(config: Path | None, environ: Mapping[str, str]) -> Checked:
    """What the control plane would take; InvalidConfig with every mistake, Envoy's too. Warnings go to stderr."""
    compiler = Compiler(WIRING)
    reader = Reader(config, environ, compiler)
    checked = reader.read()
    clock = SystemClock()
    gate = Gate(compiler, envoy_at_hand(environ, not_asked), reader.place, clock)
    asyncio.run(gate.admitted(checked, None))
    show_warnings(checked.warnings(clock.now()))
    return checked
