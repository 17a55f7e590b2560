"""Real-time priority: for the loop, and for what is started before it keeps that to itself."""

from __future__ import annotations

import subprocess
import sys

ASK = """
import os, subprocess, sys, threading
from vrrpd.linux.real_time import has_real_time, keep_real_time, take_real_time
print(take_real_time())
print(has_real_time())
keep_real_time()
thread = threading.Thread(target=lambda: print(os.sched_getscheduler(0) == os.SCHED_OTHER and not has_real_time()))
thread.start(); thread.join()
subprocess.run([sys.executable, "-c", "import os; print(os.sched_getscheduler(0) == os.SCHED_OTHER)"])
"""


def asked(*wrapper: str) -> list[str]:
    done = subprocess.run([*wrapper, sys.executable, "-uc", ASK], check=True, capture_output=True, text=True)
    return done.stdout.split("\n")[:-1]


def test_the_loop_gets_it_and_neither_its_threads_nor_its_programs_do() -> None:
    assert asked() == ["None", "True", "True", "True"]


def test_without_the_right_it_says_what_would_grant_it() -> None:
    said = asked("setpriv", "--bounding-set", "-sys_nice", "--inh-caps", "-sys_nice")
    assert "CAP_SYS_NICE" in said[0]
    assert said[1:] == ["False", "True", "True"]
