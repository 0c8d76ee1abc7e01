"""Steps that count, for tests of where scripts run: one number a key, and the reply is what it came to."""

from hashlib import sha1

from ratelimit_service.connections import StoreOptions
from ratelimit_service.failures import Unanswered
from ratelimit_service.scripts import Script, Step, StoreUnavailable

SOURCE = "return {redis.call('INCRBY', KEYS[1], ARGV[1])}"
# For a busy machine: twice what the service has.
PATIENT = StoreOptions(timeout=0.5)
# Where no store is slow, and the machine may be.
UNHURRIED = StoreOptions(timeout=5.0)
COUNT = Script(SOURCE, sha1(SOURCE.encode()).hexdigest())


def count(key="{a}", amount=1):
    """Adds to the number at the key."""
    return Step(COUNT, (key,), (amount,))


async def counted(store, key="{a}", amount=1):
    """What the number came to."""
    (number,) = await store.call(count(key, amount))
    return number


async def is_up(store):
    """Whether the store answers; used to wait for it."""
    try:
        await counted(store, "{probe}")
    except StoreUnavailable:
        return False
    return True


async def failure(store, key="{a}"):
    """How a step failed; None if it did not."""
    try:
        await counted(store, key)
    except Unanswered as unanswered:
        return unanswered.kind
    return None


class Told:
    """A watch that keeps what it is told."""

    def __init__(self):
        self.batches = []
        self.kinds = []
        self.states = []
        self.surveys = {}
        self.gone = []

    def round_trip(self, seconds, steps):
        self.batches.append(steps)

    def failed(self, kind):
        self.kinds.append(kind)

    def state(self, server, state, reason):
        self.states.append((server, state))

    def surveyed(self, server, survey):
        self.surveys[server] = survey

    def left(self, server):
        self.gone.append(server)
