"""What a snapshot must hold before it may be published, checked on the bytes that would go out.

A filter that is missing, misplaced or misspelt, a message of the wrong type in `typed_per_filter_config`, and a limit
that a route does not ask about pass Envoy's own validation and switch a rule off in silence; a route to a cluster that
is not there answers 503. None of it is ever published.
"""

from control_plane.consistency.filters import JUDGES
from control_plane.consistency.whole import InconsistentSnapshot, Inspector, checked

__all__ = ["JUDGES", "InconsistentSnapshot", "Inspector", "checked"]
