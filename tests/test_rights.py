"""Whose rights a process has, asked of processes that give them away."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest

from vrrpd import rights

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="becomes other users")

SETTLE = """
import os, pathlib
from vrrpd import rights
rights.settle(rights.account("daemon", by_root=True), rights.NETWORK)
status = dict(line.split(":", 1) for line in pathlib.Path("/proc/self/status").read_text().splitlines())
print(*(set(status[each].split()) for each in ("Uid", "Gid")), os.getgroups())
sets = (status[each] for each in ("CapPrm", "CapEff", "CapBnd", "CapInh", "CapAmb"))
print(*(int(each, 16) for each in sets), status["NoNewPrivs"].strip())
try:
    os.setuid(0)
except PermissionError:
    print("for good")
"""


def said(script: str, *wrapper: str) -> list[str]:
    done = subprocess.run([*wrapper, sys.executable, "-c", script], check=False, capture_output=True, text=True)
    return [*done.stdout.splitlines(), *done.stderr.splitlines()[-1:]]


def test_what_is_given_away_is_gone_for_good() -> None:
    network = 1 << 12 | 1 << 13
    assert said(SETTLE) == ["{'1'} {'1'} [1]", f"{network} {network} {network} 0 0 1", "for good"]


def test_root_that_may_not_change_users_says_what_it_takes() -> None:
    wrapper = ("setpriv", "--bounding-set=-setuid", "--inh-caps=-setuid")
    assert said(SETTLE, *wrapper)[-1].endswith("root may not become daemon here; grant CAP_SETUID and CAP_SETGID")


def test_a_look_with_other_rights_ends_with_the_look(tmp_path: Path) -> None:
    daemon = rights.account("daemon", by_root=True)
    before = rights.held(), os.getresuid(), os.getresgid(), os.getgroups()
    tmp_path.chmod(0o700)
    with rights.acting_as(daemon, rights.NETWORK):
        assert not os.access(tmp_path, os.R_OK, effective_ids=True)
        assert os.geteuid() == daemon.uid
    assert before == (rights.held(), os.getresuid(), os.getresgid(), os.getgroups())
    assert os.access(tmp_path, os.R_OK, effective_ids=True)


def test_root_without_powers_owns_what_is_roots_and_no_more(tmp_path: Path) -> None:
    os.chown(tmp_path, 1, 1)
    tmp_path.chmod(0o700)
    with rights.acting_as(rights.own_account(), rights.NETWORK):
        assert not os.access(tmp_path, os.R_OK, effective_ids=True)
        assert os.access("/etc/shadow", os.W_OK, effective_ids=True)


ALONE = (
    "LookupError: nobody, who runs the agent, may not become another user without CAP_SETGID and CAP_SETUID; "
    "grant them, or leave user 'daemon' out"
)
DEFAULT = "vrrpd" if "vrrpd" in {each.pw_name for each in pwd.getpwall()} else "root"
AGENT = "from vrrpd import rights; print(rights.agent_account({!r}).name)"


@pytest.mark.parametrize(
    ("user", "name"),
    [
        (None, DEFAULT),
        ("root", "root"),
        ("daemon", "daemon"),
    ],
)
def test_root_chooses_whom_the_agent_is(user: str | None, name: str) -> None:
    assert said(AGENT.format(user)) == [name]


@pytest.mark.parametrize(
    ("user", "answer"),
    [
        (None, "nobody"),
        ("nobody", "nobody"),
        ("daemon", ALONE),
    ],
)
def test_others_are_who_they_are(user: str | None, answer: str) -> None:
    powers = "+net_admin,+net_raw,+dac_override"  # the last one, because a private home may hold this interpreter
    wrapper = ("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups")
    assert said(AGENT.format(user), *wrapper, f"--inh-caps={powers}", f"--ambient-caps={powers}") == [answer]
