"""The memory of the agent stays in memory: an agent that must first be read back from a swap device is late.

Locks what is mapped when it is called, page by page as it is used (mlock2(2), MLOCK_ONFAULT): the interpreter, the
modules, what the start has made. What comes later is little, and is not locked, because from then on every mapping
would have to fit into a limit that only privileged processes may exceed.

Sources: mlockall(2).
"""

from __future__ import annotations

import ctypes

_MCL_CURRENT, _MCL_ONFAULT = 1, 4


def lock_memory() -> str | None:
    """Lock what this process has in memory.

    Returns:
        None, or why that is not permitted and what would permit it.
    """
    if ctypes.CDLL(None).mlockall(_MCL_CURRENT | _MCL_ONFAULT) == 0:
        return None
    return "no locked memory: adverts may be late on a host that swaps; grant CAP_IPC_LOCK or LimitMEMLOCK=infinity"
