import asyncio
import threading

import pytest

from service_kit.worker import Worker


@pytest.fixture
def worker():
    made = Worker("test")
    yield made
    made.stop()


async def test_work_is_done_in_order_and_by_one_thread(worker):
    answers = await asyncio.gather(
        *(worker.do(lambda number=number: (number, threading.get_ident())) for number in range(50))
    )

    assert [number for number, _ in answers] == list(range(50))
    assert len({thread for _, thread in answers}) == 1
    assert answers[0][1] != threading.get_ident()


async def test_an_error_is_the_askers(worker):
    with pytest.raises(ZeroDivisionError):
        await worker.do(lambda: 1 / 0)

    assert await worker.do(lambda: 1) == 1


async def test_work_that_was_given_up_before_its_turn_is_not_begun(worker):
    begun, may_end = [], threading.Event()
    first = asyncio.create_task(worker.do(may_end.wait))
    second = asyncio.create_task(worker.do(lambda: begun.append(2)))
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.gather(second, return_exceptions=True)

    may_end.set()
    await first
    assert await worker.do(lambda: "third") == "third"
    assert begun == []


async def test_work_that_was_given_up_while_it_ran_ends_by_itself(worker):
    started, may_end, ended = threading.Event(), threading.Event(), []

    def work():
        started.set()
        may_end.wait()
        ended.append(1)

    task = asyncio.create_task(worker.do(work))
    await asyncio.to_thread(started.wait)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    may_end.set()

    await worker.do(lambda: None)
    assert ended == [1]
