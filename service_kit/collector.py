"""The garbage collector, beside things of which there are many, which live long and refer to each other in no circle.

A configuration of ten thousand routes is a million such objects. To look through them finds nothing, takes half of the
time in which they are made, and later holds up everybody for half a second at any moment.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Final

# What was in a circle when it was set aside is never found; so now and then everything is looked through.
MOST_TIMES_SET_ASIDE: Final = 1000

_times = count(1)


@contextmanager
def without_collections() -> Iterator[None]:
    """Nothing is collected meanwhile, in no thread; what there is afterwards is set aside from later collections."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        _set_aside()
        gc.enable()


def _set_aside() -> None:
    if next(_times) % MOST_TIMES_SET_ASIDE == 0:
        gc.unfreeze()
        gc.collect()
    gc.freeze()
