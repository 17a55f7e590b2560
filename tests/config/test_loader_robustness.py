"""No content of a file, however strange, makes reading it raise or hang."""

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from vrrpd.config import HostFacts, Kinds, load, resolve
from vrrpd.config.loader import parse, read_file
from vrrpd.errors import ConfigError

_WORDS = st.sampled_from(
    [
        *(
            "nodes",
            "node",
            "defaults",
            "checks",
            "routers",
            "control",
            "log",
            "vrid",
            "addresses",
            "interface",
            "version",
        ),
        *("transport", "unicast", "priority", "advert_interval", "track", "announce", "bind", "peers", "tcp", "http"),
        *(
            "lb1",
            "lb2",
            "web",
            "off",
            "auto",
            "10.0.0.1",
            "10.0.0.1/24",
            "fe80::1",
            "51",
            "255",
            "0",
            "10ms",
            "multicast",
        ),
        *(
            "*a",
            "&a x",
            "!!set x",
            "?",
            "|",
            ">",
            "- ",
            "[",
            "]",
            "{",
            "}",
            ", ",
            ": ",
            ":",
            "\n",
            "\n  ",
            "\n    ",
            "#",
            "'",
        ),
        *('"', "\t", "---", "...", "%YAML 1.1", "<<", "\\", '"\\U00110000"', "\x85", "\u2028", "\ufeff", "~", "null"),
    ]
)
_NO_HOST = HostFacts(frozenset(), ())


def _read(content: bytes, kinds: Kinds) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "vrrpd.yaml"
        path.write_bytes(content)
        said = ""
        try:
            resolve(load(str(path), kinds), _NO_HOST)
        except ConfigError as error:
            said = str(error)
        assert said.encode() or content, "an empty file is a mistake; whatever is said can be printed"


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_but_a_configuration_error(kinds: Kinds, content: bytes) -> None:
    _read(content, kinds)


@settings(max_examples=300, deadline=None)
@given(st.lists(_WORDS | st.text(max_size=3), max_size=40))
@example(["%YAML 1." + "9" * 5000 + "\n---\na: 1"])
@example(['a: "\\UFFFFFFFF"'])
@example(["[" * 5000])
@example(["? " * 3000])
@example(["? [a]\n: ? {b: c}\n  : d"])
def test_no_text_of_the_schema_s_own_words_raises_anything_else(kinds: Kinds, words: list[str]) -> None:
    _read("".join(words).encode(errors="replace"), kinds)


_KEYS = st.sampled_from(
    [
        *("vrid", "addresses", "interface", "version", "transport", "unicast", "priority", "nodes", "advert_interval"),
        *("preempt", "preempt_delay", "hear_first", "on_all_failed", "track", "announce", "checksum", "down_adverts"),
        *(
            "bind",
            "peers",
            "check",
            "weight",
            "max_hops",
            "at",
            "every",
            "lb1",
            "lb2",
            "address",
            "device",
            "label",
            "scope",
            "odd",
        ),
    ]
)
_VALUES = st.recursive(
    st.sampled_from(
        ["51", "2", "0", "10ms", "off", "auto", "10.0.0.1", "10.0.0.100/24", '"fd00::1/64"', "eth0", "multicast"]
    ),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]")
        | st.dictionaries(_KEYS, inner, max_size=3).map(
            lambda items: "{" + ", ".join(f"{key}: {value}" for key, value in items.items()) + "}"
        )
    ),
    max_leaves=6,
)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(_KEYS, _VALUES, max_size=8), st.dictionaries(_KEYS, _VALUES, max_size=4), st.booleans())
def test_no_router_raises_anything_else(
    kinds: Kinds, router: dict[str, str], defaults: dict[str, str], nodes: bool
) -> None:
    lines = ['nodes: {lb1: [10.0.0.1, "fd00::1"], lb2: 10.0.0.2}'] if nodes else []
    lines += ["defaults:", *(f"  {key}: {value}" for key, value in defaults.items())] if defaults else []
    lines += ["groups: {edge: [web, lan]}", "checks: {eth0: {tcp: 'h:1'}}"] if nodes else []
    lines += ["routers:", "  web:", *(f"    {key}: {value}" for key, value in router.items()), "  lan:", "    vrid: 2"]
    _read("\n".join(lines).encode(), kinds)


@pytest.mark.parametrize("nested", ["a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n", "&a [*a]\n"])
def test_aliases_cannot_make_a_small_file_large(kinds: Kinds, tmp_path: Path, nested: str) -> None:
    path = tmp_path / "vrrpd.yaml"
    path.write_text(nested)
    with pytest.raises(ConfigError, match="an alias"):
        load(str(path), kinds)


def test_a_pipe_that_nobody_writes_to_is_an_empty_file_and_not_waited_for(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert read_file(str(pipe)).root == parse(b"").root
