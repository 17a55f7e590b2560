"""The timers of the agent: each a timerfd on CLOCK_MONOTONIC that the event loop waits for.

One is for the deadlines of all virtual routers; each port has one to take a breath, the announcer one for its pauses.
Owns the clock that the runtime reads and the deadline that it sleeps to. trio's own timeouts end with epoll, which
counts in whole milliseconds: they were 0.7 to 0.9 ms late at the median, as much as a tenth of a 10 ms interval. A
timerfd wakes the loop as a readable descriptor, late by a fraction of that. It knows no virtual router: which
deadline is next is the caller's affair.

Absolute times only (TFD_TIMER_ABSTIME): a relative one would add the time between reading the clock and arming.
CLOCK_MONOTONIC does not follow steps of the wall clock; it stops while the machine is suspended.

Sources: timerfd_create(2), clock_gettime(2).
"""

from __future__ import annotations

import ctypes
import os
import sys
import time
from typing import Protocol

import trio

from vrrpd.errors import VrrpdError

_SECOND = 1_000_000_000


class Clock(Protocol):
    """A monotonic clock with one alarm, all in nanoseconds."""

    def now(self) -> int:
        """The present time in nanoseconds; the zero point means nothing."""
        ...

    def boot(self) -> int:
        """The same with the time in which the machine was suspended; another zero point."""
        ...

    def wall(self) -> int:
        """Nanoseconds since 1970-01-01 UTC, for what other hosts must understand; no timer follows it."""
        ...

    def arm(self, deadline: int | None) -> None:
        """Set the alarm to an absolute time, in place of the one before.

        Args:
            deadline: nanoseconds on the scale of `now`; None for no alarm. One that has passed goes off at once.
        """
        ...

    async def wait(self) -> None:
        """Return once the armed deadline has passed, once for each time that it was armed."""
        ...

    def close(self) -> None:
        """Give the timer back; whoever waits gets `trio.ClosedResourceError`."""
        ...


if sys.version_info >= (3, 13):

    def _create() -> int:
        return os.timerfd_create(time.CLOCK_MONOTONIC, flags=os.TFD_NONBLOCK | os.TFD_CLOEXEC)

    def _set(descriptor: int, deadline: int) -> None:
        os.timerfd_settime_ns(descriptor, flags=os.TFD_TIMER_ABSTIME, initial=deadline, interval=0)

else:
    _TFD_TIMER_ABSTIME = 1

    class _Itimerspec(ctypes.Structure):
        # struct itimerspec: the interval first (zero: one shot), then the expiration.
        _fields_ = (
            ("interval_s", ctypes.c_long),
            ("interval_ns", ctypes.c_long),
            ("value_s", ctypes.c_long),
            ("value_ns", ctypes.c_long),
        )

    _libc = ctypes.CDLL(None, use_errno=True)
    _libc.timerfd_create.argtypes = (ctypes.c_int, ctypes.c_int)
    _libc.timerfd_settime.argtypes = (
        ctypes.c_int,
        ctypes.c_int,
        ctypes.POINTER(_Itimerspec),
        ctypes.c_void_p,
    )

    def _create() -> int:
        # TFD_NONBLOCK and TFD_CLOEXEC are defined as O_NONBLOCK and O_CLOEXEC (timerfd_create(2)).
        descriptor: int = _libc.timerfd_create(time.CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
        if descriptor < 0:
            raise _last_error()
        return descriptor

    def _set(descriptor: int, deadline: int) -> None:
        specification = _Itimerspec(0, 0, *divmod(deadline, _SECOND))
        if _libc.timerfd_settime(descriptor, _TFD_TIMER_ABSTIME, ctypes.byref(specification), None) < 0:
            raise _last_error()

    def _last_error() -> OSError:
        code = ctypes.get_errno()
        return OSError(code, os.strerror(code))


class TimerFd:
    """The `Clock` of production: CLOCK_MONOTONIC and one timerfd."""

    def __init__(self) -> None:
        """Make the timer.

        Raises:
            VrrpdError: the process has no descriptor left for it.
        """
        try:
            self._descriptor = _create()
        except OSError as error:
            raise VrrpdError(
                f"cannot make a timer: {error.strerror}; raise the limit of open files (ulimit -n)"
            ) from error

    def now(self) -> int:
        """CLOCK_MONOTONIC in nanoseconds."""
        return time.monotonic_ns()

    def boot(self) -> int:
        """CLOCK_BOOTTIME in nanoseconds."""
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME)

    def wall(self) -> int:
        """CLOCK_REALTIME in nanoseconds."""
        return time.clock_gettime_ns(time.CLOCK_REALTIME)

    def arm(self, deadline: int | None) -> None:
        """Set the alarm to an absolute time on CLOCK_MONOTONIC, in place of the one before; None disarms."""
        # Zero would disarm (timerfd_settime(2)); every time that has passed goes off at once, so one stands for all.
        _set(self._descriptor, 0 if deadline is None else max(deadline, 1))

    async def wait(self) -> None:
        """Return once the armed deadline has passed; a disarmed timer is waited for until it is armed."""
        while True:
            await trio.lowlevel.wait_readable(self._descriptor)
            if self._descriptor < 0:  # closed between the wake-up and here
                raise trio.ClosedResourceError
            try:
                os.read(self._descriptor, 8)  # the number of expirations: reading it makes the timer quiet again
            except BlockingIOError:
                continue  # armed anew between the wake-up and here: the old deadline does not count any more
            return

    def fileno(self) -> int:
        """The descriptor, for another process that is to be woken; reading eight bytes makes it quiet again."""
        return self._descriptor

    def close(self) -> None:
        """Give the descriptor back; whoever waits gets `trio.ClosedResourceError`."""
        if self._descriptor >= 0:
            if trio.lowlevel.in_trio_run():
                trio.lowlevel.notify_closing(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1
