"""Counts the work of the agent instead of timing it: calls, bytecode, memory blocks.

The same work gives the same numbers on a slow machine and on a busy one. What the agent does counts with all that it
calls for that, down to trio and the standard library; what the fakes around it do does not, nor what they call.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Self

import vrrpd

_AGENT = str(Path(vrrpd.__file__).parent) + "/"
_TESTS = str(Path(__file__).parent.parent) + "/"


@dataclass
class Count:
    """How much there was of something while a block ran; complete at its end."""

    number: int = 0


@contextmanager
def calls() -> Generator[Count]:
    """Functions called, of Python and of C, in this thread."""
    count = Count()

    def note(frame: FrameType, event: str, _: Any) -> None:
        if event in ("call", "c_call") and _is_agents(frame):
            count.number += 1

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        yield count
    finally:
        sys.setprofile(before)


@contextmanager
def operations() -> Generator[Count]:
    """Bytecode instructions, in this thread: loops count here that call nothing."""
    count = Count()

    def step(_frame: FrameType, event: str, _: Any) -> Any:
        count.number += event == "opcode"
        return step

    with _tracing(step):
        yield count


@contextmanager
def blocks_made() -> Generator[Count]:
    """Blocks of up to 512 bytes that were allocated, whether or not they were given back, and one for each call.

    Looked at after each bytecode instruction, so one that allocates and frees shows the difference only. The one for
    each call is there because a traced call has a frame to show. Takes its time: the interpreter adds up all its pools.
    """
    count, blocks = Count(), sys.getallocatedblocks
    last = blocks()

    def step(_frame: FrameType, _event: str, _: Any) -> Any:
        nonlocal last
        now = blocks()
        if now > last:
            count.number += now - last
        last = now
        return step

    with _tracing(step):
        yield count


@dataclass(frozen=True)
class Memory:
    """What cannot be given back at a moment, of this whole process.

    Attributes:
        blocks: memory blocks of up to 512 bytes.
        containers: bytes of everything that can hold other things, with the room that it has for them: a list that
            grows by what is there already takes no more blocks.
    """

    blocks: int
    containers: int

    @classmethod
    def now(cls) -> Self:
        """Have a look."""
        gc.collect()
        blocks = sys.getallocatedblocks()
        return cls(blocks, sum(map(sys.getsizeof, gc.get_objects())))


@contextmanager
def _tracing(step: Any) -> Generator[None]:
    """Call `step` at each bytecode instruction of the agent."""

    def enter(frame: FrameType, _event: str, _: Any) -> Any:
        if not _is_agents(frame):
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return step

    before = sys.gettrace()
    sys.settrace(enter)
    try:
        yield
    finally:
        sys.settrace(before)


def _is_agents(frame: FrameType | None) -> bool:
    """Whether the agent runs this, or somebody that it has called."""
    while frame is not None:
        agents = _whose(frame.f_code)
        if agents is not None:
            return agents
        frame = frame.f_back
    return False


@cache
def _whose(code: CodeType) -> bool | None:
    """True: the agent's. False: the tests'. None: whoever called it."""
    name = code.co_filename
    return True if name.startswith(_AGENT) else False if name.startswith(_TESTS) else None
