"""What keeps a program from being run, on real files with real owners."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from vrrpd.linux.executable import exposure, problem

DAEMON = 1  # a user and a group that every Debian has
NOBODY_ID = 0xFFFFFFFF  # of an entry that is about no particular user


@pytest.fixture
def folder() -> Iterator[Path]:
    """A directory that everybody may enter, all of root's."""
    if os.geteuid() != 0:
        pytest.skip("other owners need root")
    found = Path(tempfile.mkdtemp(prefix="vrrpd-"))
    found.chmod(0o755)
    yield found
    shutil.rmtree(found)


@pytest.fixture
def program(folder: Path) -> Path:
    """A program that nothing is wrong with, in a directory below `folder`."""
    (folder / "checks").mkdir()
    (folder / "checks").chmod(0o755)
    found = folder / "checks/web"
    found.write_text("#!/bin/sh\nexit 0\n")
    found.chmod(0o755)
    return found


@pytest.mark.parametrize("user", [None, "root", "nobody"])
def test_nothing_is_wrong_with_a_program_of_roots(program: Path, user: str | None) -> None:
    assert problem(str(program), user) is None
    assert problem("/bin/true", user) is None
    assert problem("true", user) is None


def test_what_is_missing_is_named_by_its_first_component(folder: Path) -> None:
    mend = "install it, or write the path of a program that is there"
    assert problem(f"{folder}/no/such/thing", None) == f"there is no {folder}/no; {mend}"
    assert problem("/etc/passwd/x", None) == f"there is no /etc/passwd/x; {mend}"
    said = problem("no-such-program", None) or ""
    assert said.startswith("there is no program 'no-such-program' in /usr/local/sbin:")
    assert said.endswith("; install it, or write its absolute path")


def test_an_unknown_user_is_named(program: Path) -> None:
    assert problem(str(program), "no-one") == "there is no user 'no-one' on this host; name one that exists"


def test_a_file_without_the_right_to_execute(program: Path) -> None:
    program.chmod(0o644)
    for user in ("nobody", "root"):
        said = f"{program}, which belongs to root:root with mode 0644, cannot be executed by {user}; chmod +x {program}"
        assert problem(str(program), user) == said


def test_a_directory_on_the_way_that_the_user_cannot_enter(program: Path) -> None:
    program.parent.chmod(0o750)
    place = program.parent
    said = f"{place}, which belongs to root:root with mode 0750, cannot be entered by nobody; chmod +x {place}"
    assert problem(str(program), None) == said
    assert problem(str(program), "root") is None


def test_owner_and_group_have_rights_of_their_own(program: Path) -> None:
    os.chown(program, DAEMON, DAEMON)
    program.chmod(0o500)
    assert problem(str(program), "daemon") is None
    assert "cannot be executed by nobody" in (problem(str(program), "nobody") or "")
    os.chown(program, 0, DAEMON)
    program.chmod(0o750)
    assert problem(str(program), "daemon") is None
    program.chmod(0o705)
    assert "cannot be executed by daemon" in (problem(str(program), "daemon") or "")


@pytest.mark.parametrize("user", [None, "root"])
def test_what_everybody_may_change_is_refused(program: Path, user: str | None) -> None:
    program.chmod(0o777)
    said = f"{program}, which belongs to root:root with mode 0777, can be changed by everybody; chmod go-w {program}"
    assert problem(str(program), user) == said
    program.chmod(0o755)
    place = program.parent
    place.chmod(0o777)
    said = f"{place}, which belongs to root:root with mode 0777, can be changed by everybody; chmod go-w {place}"
    assert problem(str(program), user) == said
    place.chmod(0o1777)
    assert problem(str(program), user) is None


def test_root_runs_only_what_is_roots_all_the_way(program: Path) -> None:
    place = program.parent
    for path in (program, place):
        os.chown(path, DAEMON, DAEMON)
        said = f"{path}, which belongs to daemon:daemon with mode 0755, must belong to root, who is to run it"
        assert problem(str(program), "root") == f"{said}; chown root {path}"
        assert problem(str(program), None) is None
        os.chown(path, 0, 0)
    os.chown(place, 0, DAEMON)
    place.chmod(0o775)
    said = f"{place}, which belongs to root:daemon with mode 0775, can be changed by others than root"
    assert problem(str(program), "root") == f"{said}; chmod go-w {place}"
    os.chown(place, 0, 0)
    assert problem(str(program), "root") is None


def test_symbolic_links_are_followed_to_the_end(program: Path, folder: Path) -> None:
    (folder / "open").mkdir()
    (folder / "open").chmod(0o777)
    (folder / "open/web").symlink_to(program)
    (folder / "link").symlink_to("open/../open")
    said = problem(str(folder / "link/web"), None) or ""
    assert said.startswith(f"{folder}/open, which belongs to root:root with mode 0777, can be changed by everybody")
    (folder / "open").chmod(0o755)
    assert problem(str(folder / "link/web"), "root") is None
    os.chown(folder / "open/web", DAEMON, DAEMON, follow_symlinks=False)
    assert (problem(str(folder / "link/web"), "root") or "").startswith(f"{folder}/open/web, which belongs to daemon")
    program.chmod(0o600)
    assert (problem(str(folder / "link/web"), None) or "").startswith(f"{program}, which belongs to root:root")


def test_a_circle_of_links_is_no_program(folder: Path) -> None:
    (folder / "a").symlink_to("b")
    (folder / "b").symlink_to("a")
    assert problem(str(folder / "a"), None) == f"{folder}/a cannot be followed: too many symbolic links; mend the path"


def test_a_directory_is_no_program(folder: Path) -> None:
    said = f"{folder} is no program but a directory or device; write the path of a program"
    assert problem(str(folder), None) == said


@pytest.mark.parametrize(
    "line", ["#!/opt/no/python\n", "#! /opt/no/python -u\n", "#!\t/opt/no/python\tx\n", "#!opt/no/python"]
)
def test_a_missing_interpreter_is_named(program: Path, line: str) -> None:
    program.write_text(f"{line}exit 0\n" if line.endswith("\n") else line)
    mend = "install it, or write the path of a program that is there"
    missing = next(path for path in ("/opt", "/opt/no") if not Path(path).exists())
    assert problem(str(program), None) == f"the interpreter of {program}: there is no {missing}; {mend}"


def test_a_carriage_return_behind_the_interpreter_is_seen(program: Path) -> None:
    program.write_text("#!/bin/sh\r\nexit 0\r\n")
    said = problem(str(program), None) or ""
    assert "'/usr/bin/sh\\r'" in said or "'/bin/sh\\r'" in said


def test_an_interpreter_that_cannot_be_executed_is_named(program: Path, folder: Path) -> None:
    (folder / "python").write_text("")
    (folder / "python").chmod(0o600)
    program.write_text(f"#!{folder}/python\n")
    said = problem(str(program), None) or ""
    assert said.startswith(f"the interpreter of {program}: {folder}/python, which belongs to root:root with mode 0600,")
    assert "cannot be executed by nobody" in said


def test_a_script_must_be_readable(program: Path) -> None:
    program.chmod(0o711)
    said = problem(str(program), None) or ""
    assert said.endswith(f"with mode 0711, cannot be read by nobody, as a script must be; chmod +r {program}")
    assert problem(str(program), "root") is None


def test_scripts_that_interpret_each_other_come_to_an_end(program: Path) -> None:
    program.write_text(f"#!{program}\n")
    assert "there are too many of them; write a program" in (problem(str(program), None) or "")


def test_an_access_control_list_may_give_what_the_mode_does_not(program: Path) -> None:
    # user::rwx user:nobody:r-x group::--- mask::r-x other::---, as acl(5) stores it
    entries = [(1, 7, NOBODY_ID), (2, 5, 65534), (4, 0, NOBODY_ID), (16, 5, NOBODY_ID), (32, 0, NOBODY_ID)]
    stored = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)
    program.chmod(0o700)
    assert "cannot be executed by nobody" in (problem(str(program), "nobody") or "")
    try:
        os.setxattr(program, "system.posix_acl_access", stored)
    except OSError:
        pytest.skip("this file system has no access control lists")
    assert problem(str(program), "nobody") is None


def test_an_access_control_list_that_lets_somebody_change_roots_program_is_refused(program: Path) -> None:
    # user::rwx user:nobody:rwx group::--- mask::rwx other::---
    entries = [(1, 7, NOBODY_ID), (2, 7, 65534), (4, 0, NOBODY_ID), (16, 7, NOBODY_ID), (32, 0, NOBODY_ID)]
    try:
        stored = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)
        os.setxattr(program, "system.posix_acl_access", stored)
    except OSError:
        pytest.skip("this file system has no access control lists")
    assert "can be changed by others than root" in (problem(str(program), "root") or "")


def test_a_file_among_the_arguments_of_roots_program_must_be_roots_too(program: Path) -> None:
    assert exposure(str(program), "root") is None
    program.chmod(0o777)
    assert "can be changed by everybody" in (exposure(str(program), "root") or "")
    assert exposure(str(program), "nobody") is None
    assert exposure("/nowhere/at/all", "root") is None


def test_a_file_system_that_executes_nothing_is_named(folder: Path) -> None:
    script = f"mount -t tmpfs -o noexec none {folder} && cp /bin/true {folder} && exec $0 -c '{ASK}' {folder}/true"
    command = ["unshare", "--mount", "/bin/sh", "-c", script, sys.executable]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stdout.strip() == (
        f"{folder}/true lies on a file system that is mounted noexec; move it to another one"
    )


ASK = """
import sys
from vrrpd.linux.executable import exposure, problem
print(problem(sys.argv[1], None))
"""


def who_is_asked_for(program: Path, *powers: str) -> str:
    """What is said to a user that is not root."""
    given = ",".join(f"+{power}" for power in ("dac_override", *powers))  # a private home holds this interpreter
    become = ["setpriv", "--reuid=daemon", "--regid=daemon", "--clear-groups"]
    command = [*become, f"--inh-caps={given}", f"--ambient-caps={given}", sys.executable, "-c", ASK]
    done = subprocess.run([*command, str(program)], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_an_agent_that_is_not_root_is_judged_by_its_own_rights(program: Path) -> None:
    program.chmod(0o700)
    assert "cannot be executed by daemon" in who_is_asked_for(program, "net_admin", "net_raw")


def test_a_person_who_cannot_be_an_agent_is_told_about_an_agent_of_roots(program: Path) -> None:
    program.chmod(0o700)
    assert "cannot be executed by nobody" in who_is_asked_for(program)
