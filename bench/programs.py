"""The processes of a whole gateway, by the names that tables have for them."""

from bench.resources import children
from tests.support.gateway import Gateway
from tollgate_cli.supervisor.processes import AUTHZ, CONTROL_PLANE, ENVOY, LEDGER, RATELIMIT, STORE, TRANSLATOR

SUPERVISOR = "supervisor"
# The programs that `tollgate run` starts, in the order of the tables.
PROGRAMS = {
    "envoy": ENVOY,
    "authz_service": AUTHZ,
    "ratelimit_service": RATELIMIT,
    "usage_ledger": LEDGER,
    "llm_translator": TRANSLATOR,
    "valkey-server": STORE,
    "control_plane": CONTROL_PLANE,
}


def processes_of(gateway: Gateway) -> dict[str, int]:
    """The ids of all that `tollgate run` started, and its own."""
    started = children(gateway.process.pid)
    others = sorted(started.keys() - PROGRAMS.keys())
    processes = {PROGRAMS.get(program, program): started[program] for program in (*PROGRAMS, *others)}
    return {**processes, SUPERVISOR: gateway.process.pid}
