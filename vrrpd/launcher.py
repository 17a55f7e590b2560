"""The launcher: a small process that starts programs for the agent, and alone does so.

    agent ──── requests, answers (unix socket, one JSON object a packet) ──── launcher ──fork── program ...
      └───────── output of each program (a pipe each) ──────────────────────────────────────────────┘

`vrrpd run` starts it first of all, before it imports anything heavy and long before threads or an event loop exist.
Three reasons. Starting a program from the agent would hold up adverts: a fork costs more the larger the process is, and
so the launcher is an interpreter of its own that has this file and a few modules of the standard library in it. The
launcher keeps what it needs of the rights of whoever started the agent, so that the agent may give them away. And a
process without trio and netlink can do its work while those are in trouble.

A request names a run by a number and brings the write end of a pipe. The answers for it are its process id, at most
one reason why it `failed` to start, and last its exit status (the negative number of a signal). There is no request to
kill: **a program lives for as long as the agent listens to its output**. The launcher keeps a write end of each pipe;
when the agent closes the other end, or ends in whatever way, the kernel says so, and the program's whole session is
killed. The end of the agent ends the launcher, too; a launcher that is killed takes its programs along (PDEATHSIG).

Nothing is ever waited for except all things at once. A program that does not even get as far as its own first
instruction (exec hangs on a dead network file system) or that survives SIGKILL holds up nobody: that is why this is a
plain fork, and not posix_spawn, which waits for the exec. What goes wrong between fork and exec is told to the agent by
the new process itself.

Two requests start no program. One opens a file that only root may read, and its answer brings the descriptor; a fork
does that, because a file may hang. The other brings three descriptors, and a fork of the launcher becomes the agent's
guardian (`vrrpd.guardian`), for which it needs the launcher's small size and some of its rights. The end of the
launcher is not its end.

The agent has given its rights away, so whoever takes it over must not have them back by asking here. Programs, files
and the user of the guardian are those that were promised, and no others: the agent says them at its start, before it
hears anything of the network, and then that it has said everything. What is no request is logged and dropped.

A program gets: a session and process group of its own, `/` as its directory, nothing on its standard input, the pipe as
output and error, no other descriptor, default signals, PATH, LANG=C and what the request adds as its environment, and
the rights of an unprivileged user, to which no setuid program adds any (no_new_privs), unless a user is named. Users
and their groups are looked up once. What is added has names that begin with VRRPD_, which change nothing about how a
program of root's is loaded, whoever asks. The session is what is killed: children in process groups of their own
(`timeout`) belong to it, those in sessions of their own (`setsid`) do not.

Has its own session and does not react to INT, TERM and HUP: the agent's goodbye is the end of its socket.

Must not do: import anything beyond the standard library, the guardian and `vrrpd.rights`, or much of that
(`dataclasses` alone would make the process a fifth larger and each fork slower, hence the named tuples); wait for one
thing.

Sources: unix(7), pidfd_open(2), pipe(7), epoll(7), capabilities(7).
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import os
import select
import signal
import socket
import struct
import sys
from types import FrameType
from typing import Any, Final, NamedTuple, Never

if __name__ == "__main__":  # run as a script by `start`: this package is nowhere to be found yet
    sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))  # noqa: PTH100, PTH120 - pathlib is large

from vrrpd import guardian, rights

PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where a program without a path is looked for, here and in inspections."""

REQUEST_LIMIT: Final = 65536
"""Bytes of the longest request."""

_ENVIRONMENT: Final = {"PATH": PATH, "LANG": "C"}
_OURS: Final = "VRRPD_"  # what the names of further variables begin with
_NAME: Final = b"vrrpd-launcher"  # at most 15 characters: TASK_COMM_LEN less the final zero
_CHANNEL: Final = 3  # descriptor of our end
_UNMOVED: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h
_SWEEPS: Final = 3  # a session is looked for again after it was killed: it may have forked meanwhile
_KIND, _REGULAR = 0o170000, 0o100000  # inode(7)
_MOST_DESCRIPTORS: Final = 4  # that one request brings
_NOT_STARTED: Final = 127  # exit status of what failed before its exec, as a shell has it


_libc = ctypes.CDLL(None, use_errno=True)


class Launcher(NamedTuple):
    """The agent's end.

    Attributes:
        pid: process id of the launcher.
        channel: takes requests and gives answers, a packet each; closing it ends the launcher and all programs.
    """

    pid: int
    channel: socket.socket


def start() -> Launcher:
    """Start the launcher. Call it before rights are given away, and while this process is small."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    theirs.set_inheritable(True)
    # Isolated and without site-packages: what the environment or a directory offers is never imported.
    argv = [sys.executable, "-I", "-S", __file__, str(theirs.fileno())]
    pid = os.posix_spawn(sys.executable, argv, os.environ)
    theirs.close()
    return Launcher(pid, ours)


def _settle(channel: int) -> None:
    """Become independent of whoever started us; keep nothing but the channel and standard error."""
    os.setsid()
    os.chdir("/")
    os.umask(0o022)
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP, signal.SIGPIPE}:
        signal.signal(number, signal.SIG_DFL)
    for number in _UNMOVED:  # a handler, because programs would inherit it if we ignored the signal
        signal.signal(number, _stay)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    with contextlib.suppress(OSError):
        os.write(os.open("/proc/self/comm", os.O_WRONLY), _NAME)
    os.dup2(channel, _CHANNEL, inheritable=False)
    os.closerange(_CHANNEL + 1, os.sysconf("SC_OPEN_MAX"))
    rights.keep(rights.LAUNCHING)
    gc.collect()
    gc.freeze()  # what a collection touches, each fork would have to copy


def _stay(_number: int, _frame: FrameType | None) -> None:
    """Do nothing about a signal."""


class _Program(NamedTuple):
    """One program that runs.

    Attributes:
        run: the agent's number for it.
        pid: process id, also of its session and group.
        pidfd: readable once it has ended.
        output: our write end of its pipe.
    """

    run: int
    pid: int
    pidfd: int
    output: int


class _Desk:
    """Takes requests, watches programs, answers."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._guardians: dict[int, int] = {}  # pidfd to process id
        self._events = select.epoll()
        self._events.register(channel, select.EPOLLIN)
        self._running: dict[int, _Program] = {}  # by pidfd
        self._heard: dict[int, _Program] = {}  # those that the agent still listens to, by our end of their pipe
        self._accounts: dict[str | None, rights.Account] = {}
        self._promised: set[str] = set()  # all that will be done for the agent
        self._sealed = False

    def serve(self) -> None:
        """Work until the agent is gone; leave nothing running."""
        try:
            while self._work():
                pass
        finally:
            for program in self._running.values():
                _kill_session(program)

    def _work(self) -> bool:
        """Wait for events and handle them; False once the agent is gone."""
        asked = 0
        for descriptor, events in self._events.poll():
            if descriptor == self._channel.fileno():
                asked = events
            elif program := self._heard.get(descriptor):
                _kill_session(program)
                self._mute(program)
            elif program := self._running.get(descriptor):
                self._end(program)
            elif descriptor in self._guardians:
                os.waitpid(self._guardians.pop(descriptor), 0)
                self._events.unregister(descriptor)
                os.close(descriptor)
        # Last, because it opens descriptors: an older event must not meet a new program under the number of an old one.
        if asked & select.EPOLLHUP:
            return False
        return self._take() if asked else True

    def _take(self) -> bool:
        """Take one request and do it; False where the agent is gone."""
        flags = socket.MSG_CMSG_CLOEXEC
        try:
            room = socket.CMSG_SPACE(4 * _MOST_DESCRIPTORS)
            packet, ancillary, _, _ = self._channel.recvmsg(REQUEST_LIMIT, room, flags)
        except ConnectionError:
            return False
        if not packet:
            return False
        descriptors = [each for _, _, data in ancillary for (each,) in struct.iter_unpack("i", data)]
        try:
            request = _request(packet, len(descriptors))
            if "promise" in request:
                self._promise(request["promise"])
            elif "guardian" in request:
                self._insist_on_promise(request)
                self._fork_guardian(request["guardian"], descriptors)
            elif descriptors:
                self._run(request, descriptors.pop())
            else:  # our table of descriptors is full, and the kernel has dropped the pipe
                self._answer({"run": request["run"], "failed": "too many open files", "status": _NOT_STARTED})
        except (ValueError, LookupError, RecursionError) as error:  # it may be anybody's agent by now: we go on
            _complain(f"a request was dropped: {error}")
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        return True

    def _run(self, request: dict[str, Any], output: int) -> None:
        """Do what takes a process of its own, and watch that; or say why it cannot be."""
        try:
            self._insist_on_promise(request)
            self._events.register(output, 0)  # EPOLLERR, once nobody can read it any more, needs no asking
            program = self._start(request, output)
        except (OSError, LookupError, ValueError) as error:  # no process, no descriptor left, no such user, no promise
            with contextlib.suppress(OSError):
                self._events.unregister(output)
            os.close(output)
            self._answer({"run": request["run"], "failed": _reason(error), "status": _NOT_STARTED})
            return
        self._running[program.pidfd] = program
        self._heard[output] = program
        self._events.register(program.pidfd, select.EPOLLIN)
        self._answer({"run": program.run, "pid": program.pid})

    def _promise(self, what: dict[str, Any] | None) -> None:
        """Note what will be asked for; None ends that for good."""
        if what is None:
            self._sealed = True
        elif not self._sealed:
            self._promised.add(_errand(what))

    def _insist_on_promise(self, request: dict[str, Any]) -> None:
        """Refuse what the agent did not name before it could be taken over.

        Raises:
            LookupError: the text names the mend.
        """
        if self._sealed and _errand(request) not in self._promised:
            raise LookupError("it was not in the configuration when the agent started; restart the agent")

    def _fork_guardian(self, account: list[Any], descriptors: list[int]) -> None:
        """Fork a guardian. Where that fails, its end of the channel is closed, and the agent asks again.

        The one before goes first: one that was stopped would act on what it knew then, should it go on.
        """
        name, uid, gid, groups = account
        who = rights.Account(name, uid, gid, tuple(groups))
        for pidfd in self._guardians:
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        with contextlib.suppress(OSError):
            pid = os.fork()
            if pid == 0:
                try:
                    guardian.live(*descriptors, settle=lambda: rights.settle(who, rights.NETWORK))
                except Exception as error:  # noqa: BLE001 - told, and kept out of the loop of the launcher
                    sys.excepthook(type(error), error, error.__traceback__)
                os._exit(1)
            pidfd = os.pidfd_open(pid)
            self._guardians[pidfd] = pid
            self._events.register(pidfd, select.EPOLLIN)

    def _start(self, request: dict[str, Any], output: int) -> _Program:
        who = self._account(request["user"]) if "argv" in request else None
        pid = os.fork()
        if pid == 0:
            self._become(request, who, output)
        try:
            return _Program(request["run"], pid, os.pidfd_open(pid), output)
        except OSError:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise

    def _account(self, user: str | None) -> rights.Account:
        """As `account`, remembered: in each new process again, it would cost as much as all the rest."""
        if user not in self._accounts:
            self._accounts[user] = rights.account(user, by_root=os.geteuid() == 0)
        return self._accounts[user]

    def _become(self, request: dict[str, Any], who: rights.Account | None, output: int) -> Never:
        """Be the program, or open the file; or tell the agent why that cannot be."""
        try:
            os.setsid()
            if who is None:
                self._open(request)
                os._exit(0)
            os.dup2(output, 1)
            os.dup2(output, 2)
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python ignores it
            signal.signal(signal.SIGXFSZ, signal.SIG_DFL)  # and this one
            rights.become(who)
            if request["user"] is None:
                rights.forbid_more()
            _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)  # after the change of user, which clears it
            argv: list[str] = request["argv"]
            os.execvpe(argv[0], argv, {**request.get("env", {}), **_ENVIRONMENT})  # noqa: S606 - there is no shell, on purpose
        except Exception as error:  # noqa: BLE001 - whatever it is, it must not get into the loop of the launcher
            self._answer({"run": request["run"], "failed": _reason(error)})
        os._exit(_NOT_STARTED)

    def _open(self, request: dict[str, Any]) -> None:
        """Hand the agent a file that it may not open itself; in a process of its own, for a file may hang."""
        descriptor = os.open(request["open"], os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        if os.fstat(descriptor).st_mode & _KIND != _REGULAR:
            raise LookupError("is no regular file")
        with contextlib.suppress(ConnectionError):
            socket.send_fds(self._channel, [json.dumps({"run": request["run"]}).encode()], [descriptor])

    def _mute(self, program: _Program) -> None:
        """Stop watching who listens; once, because the descriptor's number is another program's soon."""
        if self._heard.get(program.output) is not program:
            return
        del self._heard[program.output]
        # Explicitly: a child before its exec has a copy of the descriptor, which would keep the registration alive.
        self._events.unregister(program.output)
        os.close(program.output)

    def _end(self, program: _Program) -> None:
        """Kill what the program left behind, while it is a zombie and its id is nobody else's; tell the agent."""
        _kill(program)
        _, status = os.waitpid(program.pid, 0)
        self._mute(program)
        del self._running[program.pidfd]
        self._events.unregister(program.pidfd)
        os.close(program.pidfd)
        self._answer({"run": program.run, "status": os.waitstatus_to_exitcode(status)})

    def _answer(self, answer: dict[str, Any]) -> None:
        with contextlib.suppress(ConnectionError):  # the next event says that the agent is gone
            self._channel.send(json.dumps(answer).encode())


def _errand(request: dict[str, Any]) -> str:
    """What is wanted, in a form to compare."""
    return json.dumps([request.get(key) for key in ("argv", "user", "open", "guardian")])


def _request(packet: bytes, descriptors: int) -> dict[str, Any]:
    """Read a request that brings so many descriptors.

    Raises:
        ValueError, RecursionError: it is none; the text of the first says so.
    """
    request: Any = json.loads(packet)
    match request:
        case {"promise": None | dict(), **more}:
            right = not more
        case {"guardian": [str(), int(), int(), [*groups]], **more}:
            right = not more and descriptors == _MOST_DESCRIPTORS and all(isinstance(each, int) for each in groups)
        case {"run": int(), "argv": [*words], "user": None | str(), **more}:
            added = more.pop("env", {})
            right = not more and descriptors <= 1 and words != [] and all(isinstance(each, str) for each in words)
            right = right and _harmless(added)
        case {"run": int(), "open": str(), **more}:
            right = not more and descriptors <= 1
        case _:
            right = False
    if not right:
        raise ValueError(f"it does not have the form of one, or not its descriptors ({descriptors} came)")
    return request


def _harmless(environment: Any) -> bool:
    """Whether these are variables, and of ours alone."""
    match environment:
        case {**variables}:
            return all(str(name).startswith(_OURS) and isinstance(value, str) for name, value in variables.items())
        case _:
            return False


def _complain(text: str) -> None:
    with contextlib.suppress(OSError):
        os.write(2, f"{_NAME.decode()}: {text}\n".encode())


def _kill(program: _Program) -> None:
    """Kill a program and its process group.

    Both, because a new process that has no group of its own yet would escape the second. A program that changed its
    user may be out of our reach, where we are not root.
    """
    with contextlib.suppress(ProcessLookupError, PermissionError):
        signal.pidfd_send_signal(program.pidfd, signal.SIGKILL)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(program.pid, signal.SIGKILL)


def _kill_session(program: _Program) -> None:
    """Kill a program and all that is in its session, whatever the process group."""
    _kill(program)
    for _ in range(_SWEEPS):
        everybody = os.listdir("/proc")  # noqa: PTH208 - pathlib is not imported here
        members = [pid for pid in map(int, filter(str.isdigit, everybody)) if _session(pid) == program.pid]
        if not members:
            return
        for pid in members:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)


def _session(pid: int) -> int:
    """The session of a process that lives; 0 of one that is gone or a zombie (proc_pid_stat(5))."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123 - pathlib is not imported here
            state, _, _, session = file.read().rpartition(b")")[2].split()[:4]
    except OSError:
        return 0
    return 0 if state in b"ZX" else int(session)


def _reason(error: Exception) -> str:
    """What went wrong, in a few plain words."""
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno).lower()
    return str(error)


def _main() -> None:
    """The launcher's life; the only argument is the descriptor of its channel."""
    _settle(int(sys.argv[1]))
    _Desk(socket.socket(fileno=_CHANNEL)).serve()


if __name__ == "__main__":
    _main()
