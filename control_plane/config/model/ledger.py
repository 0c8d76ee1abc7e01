"""The ledger of usage: how long it keeps rows, and where consumers read what they used."""

from typing import Final

from pydantic import Field

from control_plane.config.model.base import Model
from control_plane.config.values.paths import AbsolutePath
from control_plane.config.values.quantities import SECONDS, Retention

USUAL_RETENTION: Final = 400 * int(SECONDS["d"])


class Ledger(Model):
    """What becomes of the access log in SQL; without this, no consumer reads its own usage."""

    usage_path: AbsolutePath = Field(
        "/v1/usage", description="where a consumer reads its own usage, on all hosts; asks for `defaults.auth`"
    )
    retention: Retention = Field(
        USUAL_RETENTION, description="how long rows are kept; the sums that reports are made of stay"
    )
    audit_retention: Retention | None = Field(
        None, description="how long the audit trail is kept; without it, for good"
    )
