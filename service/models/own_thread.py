"""Work that blocks for seconds, beside the event loop."""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def in_own_thread(function: Callable[..., T], *arguments: object) -> T:
    """What the function returns, run in a thread that the end of the process does not wait for.

    A caller that is cancelled leaves the thread to its work; nobody hears of its result.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def deliver(settle: Callable[..., None], result: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(lambda: None if future.done() else settle(result))

    def work() -> None:
        try:
            result = function(*arguments)
        except BaseException as error:  # noqa: BLE001 - whoever waits hears of it
            deliver(future.set_exception, error)
        else:
            deliver(future.set_result, result)

    threading.Thread(target=work, name=function.__name__, daemon=True).start()
    return await future
