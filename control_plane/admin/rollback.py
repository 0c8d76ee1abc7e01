"""Rollbacks, written down with who asked for them: by gRPC and by HTTP the same."""

from typing import Final

from control_plane.audit import Act, Trail
from control_plane.history.entries import CannotRollBack
from control_plane.operations.reports import Operations, RollbackResult
from service_kit.audit import By, Result

ROLLED_BACK: Final = "configuration.rolled_back"
# The file counts again.
RELEASED: Final = "configuration.released"


async def rolled_back(operations: Operations, trail: Trail, number: int | None, by: By) -> RollbackResult:
    """Makes an entry of the history live; without a number, what the file says. CannotRollBack, AuditUnavailable."""

    async def work(act: Act) -> RollbackResult:
        before = operations.status().configuration
        act.old = {"digest": before.digest, "number": before.number}
        result = await operations.rollback(number)
        act.new = {"digest": result.digest, "number": result.number, "errors": len(result.errors)}
        return result

    action, named = (RELEASED, "configuration") if number is None else (ROLLED_BACK, f"entry {number}")
    return await trail.done(by, action, named, work, verdict=_verdict)


def _verdict(error: Exception) -> Result | None:
    return Result.REFUSED if isinstance(error, CannotRollBack) else None
