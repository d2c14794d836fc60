"""So many who tap at once."""

import itertools
import threading
from collections.abc import Callable


def crowd(connections: int, count: int, tap: Callable[[int], object]) -> None:
    """Call `tap` with every number below `count`, in that many threads; raises what one raises.

    Each takes the next number when it is done: to hand all of them out at the start, as a pool of
    threads does, would keep the first waiting for a third of a second.
    """
    numbers = itertools.count()
    failed: list[BaseException] = []

    def run() -> None:
        try:
            while not failed and (number := next(numbers)) < count:
                tap(number)
        except BaseException as error:  # noqa: BLE001 - raised again below
            failed.append(error)

    threads = [threading.Thread(target=run) for _ in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]
