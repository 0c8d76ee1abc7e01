"""What a validator of schemas does not see in Kubernetes manifests: one file a subject, each check yields findings.

`findings` is the whole of it; tests/deploy/test_manifests.py breaks the real manifests in every way that is looked for.
"""

from collections.abc import Sequence
from pathlib import Path

from tests.support.manifests import configuration, images, names, pods, references, scaling, security, selectors
from tests.support.manifests.documents import Manifests, loaded

CHECKS = (
    *names.CHECKS,
    *references.CHECKS,
    *selectors.CHECKS,
    *pods.CHECKS,
    *scaling.CHECKS,
    *security.CHECKS,
    *images.CHECKS,
    *configuration.CHECKS,
)

__all__ = ["Manifests", "findings", "loaded"]


def findings(manifests: Manifests, folder: Path) -> Sequence[str]:
    """Everything that is wrong, in words; the folder is for files that a check must write."""
    return [finding for check in CHECKS for finding in check(manifests, folder)]
