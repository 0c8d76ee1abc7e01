"""Which version of Tollgate this is: as it was installed, so that the number stands in one place."""

from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version


@lru_cache(maxsize=1)  # files are read
def installed_version() -> str | None:
    """None where a source tree runs that is not installed."""
    try:
        return version("tollgate")
    except PackageNotFoundError:
        return None
