"""The one thread that may wait inside the kernel: it does one thing after the other, and is there before it is needed.

A write to netlink can wait for a lock of the kernel for tens of milliseconds. So the event loop has it done here, and
goes on meanwhile. The thread is ours, and not one of trio's: those end when nobody has asked for ten seconds, and then
the takeover would have to start one, which took 0.3 ms, and 16 ms where ordinary programs kept the processors busy.
For the same reason it has the priority of the loop (`real_time`). What it does is what the loop waits for, and a thread
that was taken off its processor with the interpreter's lock in hand would hold up the loop besides.

Must not do: compute. Source: sched(7).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

import trio

T = TypeVar("T")


class Job(Generic[T]):
    """Something that the thread has to do, and what came of it."""

    def __init__(self, work: Callable[[], T], ended: Callable[[Job[T]], None]) -> None:
        self._wanted = True
        self._work = work
        self._ended = ended
        self._loop = trio.lowlevel.current_trio_token()
        self._values: list[T] = []
        self._error: BaseException | None = None
        self._over = threading.Lock()
        self._over.acquire()

    def do(self) -> None:
        """In the thread."""
        if not self._wanted:
            return
        try:
            self._values.append(self._work())
        except BaseException as error:  # noqa: BLE001 - raised where somebody asks for the result
            self._error = error
        self._over.release()
        with suppress(trio.RunFinishedError):
            self._loop.run_sync_soon(self._end)

    def give_up(self) -> None:
        """Nobody waits for it any more: what has begun goes on without anybody, and what has not is not done."""
        self._wanted = False

    def wait(self, seconds: float) -> None:
        """On the event loop, which stands still meanwhile: it is told at once of what ends within this time."""
        if self._over.acquire(timeout=seconds):
            self._end()

    def result(self) -> T:
        """On the event loop, once it has ended.

        Raises:
            BaseException: whatever the work raised.
        """
        if self._error is not None:
            raise self._error
        return self._values[0]

    def _end(self) -> None:
        if self._wanted:
            self._wanted = False
            self._ended(self)


class Worker:
    """The thread, and what it has to do."""

    def __init__(self) -> None:
        self._jobs = SimpleQueue[Job[Any]]()

    def start(self) -> None:
        """Start the thread, with the rights and the priority that the calling one has now; it ends with the process."""
        threading.Thread(target=self._work, name="vrrpd-kernel", daemon=True).start()

    def begin(self, work: Callable[[], T], ended: Callable[[Job[T]], None]) -> Job[T]:
        """Have something done, after all that was asked for before. Waits for nothing.

        Args:
            work: called in the thread.
            ended: called on the event loop afterwards, with the job; it must not raise.
        """
        job = Job(work, ended)
        self._jobs.put(job)
        return job

    async def run(self, work: Callable[[], T]) -> T:
        """The same for a task that waits for what comes of it; cancelled, it gives the job up.

        Raises:
            BaseException: whatever `work` raises.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        over = trio.Event()
        job = self.begin(work, lambda _: over.set())
        try:
            await over.wait()
        finally:
            job.give_up()
        return job.result()

    def _work(self) -> None:
        while True:
            self._jobs.get().do()
