"""Many clients in one process, which a line on its input tells what to expect, and which says so in a line of JSON.

`python -m bench.xds.followers ARGUMENTS`: JSON of the socket, the number of clients, and what they ask for.
"""

import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import grpc
import uvloop

from bench.xds.follower import Follower, Received, asked
from service_kit.clock import SystemClock

STREAMS_A_CHANNEL = 100
OPTIONS = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.use_local_subchannel_pool", 1),  # else all channels would share one connection
)
QUIET_SECONDS = 0.3
POLL_SECONDS = 0.005


async def main(
    socket: str, first: int, count: int, upstreams: Sequence[str], *, delta: bool, hosts: bool, routes: bool
) -> None:
    """Connects, says so, then answers one line after the other until its input ends."""
    clock, wanted = SystemClock(), asked(delta=delta, hosts=hosts, upstreams=upstreams, routes=routes)
    channels = [grpc.aio.insecure_channel(f"unix:{socket}", OPTIONS) for _ in range(-(-count // STREAMS_A_CHANNEL))]
    followers = [
        Follower(channels[number % len(channels)], f"follower-{first + number}", wanted, clock)
        for number in range(count)
    ]
    following = asyncio.gather(*(follower.follow() for follower in followers))
    lines = await _input()
    await _have(followers, len(wanted.names), following)
    _say(followers)
    while line := await lines.readline():
        for follower in followers:
            follower.forget()
        print("{}", flush=True)
        await _have(followers, int(line), following)
        _say(followers)
    for follower in followers:
        follower.end()
    await asyncio.gather(following, return_exceptions=True)


async def _have(followers: Sequence[Follower], responses: int, following: "asyncio.Future[Any]") -> None:
    """Returns when each has had so many responses and nothing follows; whoever waits for this has the deadline."""
    lacking = list(followers)
    while lacking := [follower for follower in lacking if follower.received.responses < responses]:
        await asyncio.sleep(POLL_SECONDS)
        if following.done():
            following.result()
            raise EOFError("the streams have ended")
    seen = -1
    while seen != (had := sum(follower.received.responses for follower in followers)):
        seen = had
        await asyncio.sleep(QUIET_SECONDS)


def _say(followers: Sequence[Follower]) -> None:
    all_received = [follower.received for follower in followers]
    total = Received(
        responses=sum(item.responses for item in all_received),
        size=sum(item.size for item in all_received),
        first=min(item.first for item in all_received),
        last=max(item.last for item in all_received),
    )
    print(json.dumps(asdict(total)), flush=True)


async def _input() -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    return reader


if __name__ == "__main__":
    uvloop.run(main(**json.loads(sys.argv[1])))
