"""Every target under hypothesis: random bytes, and good input with something wrong in it."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.seeds import seeds
from tests.fuzz.targets import TARGETS
from vrrpd.control.messages import REQUEST_LIMIT

OURS = settings(
    deadline=None, derandomize=True, max_examples=150, suppress_health_check=[HealthCheck.too_slow], database=None
)
"""The same examples in every run, also beside a profile that another part of the tests has loaded."""


@st.composite
def damaged(draw: st.DrawFn, good: list[bytes]) -> bytes:
    """Good input with pieces cut out, put in, doubled, or taken from another one."""
    data = draw(st.sampled_from(good))
    for _ in range(draw(st.integers(1, 6))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, 40)))
        other = draw(st.sampled_from(good))
        begin = draw(st.integers(0, len(other)))
        piece = draw(
            st.binary(max_size=8)
            | st.sampled_from(
                [data[start:end] * 2, other[begin : begin + 40], b"\0", b"\xff" * 4, b"\n", b"{", b"[" * 20]
            )
        )
        data = data[:start] + piece + data[end:]
    return data


@pytest.mark.parametrize("name", TARGETS)
@OURS
@given(st.binary(max_size=400))
def test_no_bytes_are_too_odd(name: str, data: bytes) -> None:
    TARGETS[name](data)


@pytest.mark.parametrize("name", TARGETS)
@OURS
@given(st.data())
def test_nearly_good_input_is_not_either(name: str, data: st.DataObject) -> None:
    TARGETS[name](data.draw(damaged(seeds(name))))


@pytest.mark.parametrize("name", TARGETS)
def test_what_the_fuzzers_begin_with_is_good(name: str) -> None:
    for seed in seeds(name):
        TARGETS[name](seed)


HOSTILE_FILES = {
    "billion laughs": b"a: &a [x,x,x,x,x,x,x,x,x]\n"
    + b"".join(b"%c: &%c [%s]\n" % (n + 1, n + 1, b",".join([b"*%c" % n] * 9)) for n in range(97, 106)),
    "deep flow": b"[" * 20_000,
    "deep block": b"".join(b" " * n + b"a:\n" for n in range(1000)),
    "deep keys": b"? " * 50_000,
    "huge scalar": b"node: " + b"x" * 100_000,
    "huge key": b"x" * 100_000 + b": 1\n",
    "huge number": b"routers: {web: {vrid: " + b"9" * 50_000 + b"}}",
    "too large": b"#" * (5 << 20),
    "many keys": b"".join(b"k%d: 1\n" % n for n in range(500)),
    "many routers": b"routers:\n" + b"".join(b"  r%d: {vrid: 1, addresses: [10.0.0.1]}\n" % n for n in range(60)),
    "the same key": b"node: x\n" * 1_000,
    "nul": b"routers: {w\0b: {}}",
    "escaped nul": b'node: "a\\0b"',
    "surrogate": b'node: "\\ud800"',
    "half a character": b"node: \xc3",
    "utf-16": "routers: {}".encode("utf-16"),
    "bidirectional": "node: \u202eabc\u2066".encode(),
    "combining": ("node: e" + "\u0301" * 10_000).encode(),
    "tag": b"node: !!python/object/apply:os.system ['true']",
    "merge": b"defaults: {<<: {preempt: false}}",
    "documents": b"--- a\n" * 10_000,
    "directives": b"%TAG ! tag:x,2000:\n" * 1_000 + b"--- 1",
}


@pytest.mark.parametrize("name", HOSTILE_FILES)
def test_a_hostile_file_is_refused_with_words_and_without_much_memory(name: str) -> None:
    content = HOSTILE_FILES[name]
    TARGETS["configuration"](b"node: warm")
    tracemalloc.start()
    try:
        TARGETS["configuration"](content)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 40 * len(content) + (16 << 20), "what is built is in proportion to what was written"


HOSTILE_REQUESTS = {
    "no newline": b"x" * (REQUEST_LIMIT - 1),
    "too long": b"x" * (4 * REQUEST_LIMIT),
    "deep": b"[" * (REQUEST_LIMIT - 2) + b"\n",
    "deep object": b'{"a":' * 10_000 + b"\n",
    "digits": b'{"command":' + b"9" * 60_000 + b"}\n",
    "exponent": b'{"command":"status","x":1e999}\n',
    "nan": b'{"command":"status","x":NaN}\n',
    "surrogate": b'{"command":"drain","router":"\\ud800"}\n',
    "nul": b'{"command":"status\\u0000"}\n',
    "many keys": b'{"command":"status",' + b",".join(b'"%d":1' % n for n in range(5_000)) + b"}\n",
    "doubled": b'{"command":"x","command":"status"}\n',
    "list": b"[]\n",
    "empty lines": b"\n" * 1_000,
    "utf-16": '{"command":"status"}\n'.encode("utf-16"),
}


@pytest.mark.parametrize("name", HOSTILE_REQUESTS)
def test_a_hostile_request_is_answered_or_cut_off(name: str) -> None:
    TARGETS["control"](HOSTILE_REQUESTS[name])


def test_a_long_flood_grows_nothing() -> None:
    """Packets from many sources, good and bad, to a router that hears anybody."""
    good = seeds("packets")

    def flood() -> None:
        for round_ in range(256):
            for seed in good:
                TARGETS["packets"](seed[:1] + bytes([round_ % 256]) + seed[2:])

    flood()
    tracemalloc.start()
    try:
        flood()
        after_one, _ = tracemalloc.get_traced_memory()
        flood()
        after_two, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after_two - after_one < 20_000
