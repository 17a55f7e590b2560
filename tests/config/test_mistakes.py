"""Every mistake a file can have, with its exact place and words: the tables stand in `mistakes/*.txt`."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from vrrpd.config import File, Kinds, load, read
from vrrpd.errors import ConfigError

_TABLES = sorted((Path(__file__).parent / "mistakes").glob("*.txt"))
_FOREIGN = re.compile(r"pydantic|Input should|Field required|Extra inputs|value_error|type=|Error\b|None\b")


def _cases() -> Iterator[object]:
    for table in _TABLES:
        for case in table.read_text().split("\n######## ")[1:]:
            name, _, rest = case.partition("\n")
            content, _, said = rest.partition(">>>>>>>>\n")
            yield pytest.param(content, said.strip().splitlines(), id=f"{table.stem}: {name}")


def _said(file: File) -> list[str]:
    wrong = [f"{m.line}:{m.column}: {m.text}" for m in file.mistakes]
    return wrong + [f"{m.line}:{m.column}: warning: {m.text}" for m in file.warnings]


@pytest.mark.parametrize(("content", "said"), list(_cases()))
def test_a_file_is_told_all_its_mistakes_at_their_places(
    content: str, said: list[str], file_of: Callable[[str], File]
) -> None:
    file = file_of(content)
    assert _said(file) == said
    for mistake in file.mistakes:
        assert re.search(r".; .", mistake.text), "what is wrong; what would be right"
        assert not _FOREIGN.search(mistake.text)


def test_nodes_that_no_priority_can_tell_apart_are_refused(file_of: Callable[[str], File]) -> None:
    nodes = "".join(f"  n{i}: 10.0.{i // 200}.{i % 200 + 1}\n" for i in range(250))
    file = file_of(f"nodes:\n{nodes}routers:\n  web: {{vrid: 51, addresses: [10.9.9.9]}}\n")
    assert _said(file) == ["1:1: 250 nodes cannot all differ in priority; list up to 249"]


@pytest.mark.parametrize(
    ("version", "address", "limit"),
    [(3, "10.1.{high}.{low}", 255), (2, "10.1.{high}.{low}", 255), (3, "fd00::1:{high}:{low}", 90)],
)
def test_addresses_that_do_not_fit_into_one_packet_are_refused(
    version: int, address: str, limit: int, file_of: Callable[[str], File]
) -> None:
    def said(count: int) -> list[str]:
        listed = "".join(f"    - {address.format(high=i // 200, low=i % 200 + 1)}\n" for i in range(count))
        nodes = 'nodes: {lb1: [10.0.0.11, "fd00::11"], lb2: [10.0.0.12, "fd00::12"]}\n'
        head = f"routers:\n  web:\n    vrid: 51\n    version: {version}\n    addresses:\n"
        return _said(file_of(nodes + head + listed))

    assert said(limit) == []
    [mistake] = said(limit + 1)
    assert mistake.startswith(f"{limit + 7}:7: {limit + 1} IPv")
    assert f"list up to {limit}" in mistake


def test_a_file_that_is_not_there_is_a_mistake_at_its_first_character(kinds: Kinds) -> None:
    with pytest.raises(ConfigError) as caught:
        load("/nonexistent/vrrpd.yaml", kinds)
    assert str(caught.value) == (
        "/nonexistent/vrrpd.yaml:1:1: the file cannot be read (No such file or directory); "
        "name a file that is there and readable with -c"
    )


def test_a_directory_and_an_impossible_path_are_mistakes_too(kinds: Kinds, tmp_path: Path) -> None:
    assert "(Is a directory)" in read(str(tmp_path), kinds).mistakes[0].text
    assert "cannot be read" in read("a\0b", kinds).mistakes[0].text


def test_a_file_too_large_to_be_a_configuration_is_refused(file_of: Callable[[str], File]) -> None:
    assert _said(file_of("#" * (4 * 1024 * 1024 + 1))) == [
        "1:1: the file is larger than 4 MiB; no configuration needs that"
    ]


def test_bytes_that_are_no_text_are_shown_with_their_place(file_of: Callable[[bytes], File]) -> None:
    assert _said(file_of(b"node: lb1\n# caf\xe9\n")) == ["2:6: byte 0xe9 is not UTF-8; save the file as UTF-8 text"]
    assert _said(file_of(b"node: lb1\nlog: \x00\n")) == ["2:6: character U+0000 has no place here; remove it"]


def test_a_byte_order_mark_and_foreign_line_ends_are_no_mistake(file_of: Callable[[bytes], File]) -> None:
    content = (
        "\ufeffnodes: {lb1: 10.0.0.11, lb2: 10.0.0.12}\r\nrouters:\r\n  web: {vrid: 51, addresses: [10.0.0.100]}\r\n"
    )
    assert _said(file_of(content.encode())) == []


def test_a_mistake_names_the_file_so_that_an_editor_can_jump_there(kinds: Kinds, tmp_path: Path) -> None:
    path = tmp_path / "vrrpd.yaml"
    path.write_text("nodes: {lb1: 10.0.0.11, lb2: 10.0.0.12}\nrouters:\n  web: {vrid: 0, addresses: [10.0.0.100]}\n")
    with pytest.raises(ConfigError) as caught:
        load(str(path), kinds)
    assert str(caught.value) == f"{path}:3:15: 0 is out of range; write 1..255"


@pytest.mark.parametrize(("written", "vrid"), [("51", 51), ("051", 51), ("'51'", 51), ('"51"', 51), ("0o63", None)])
def test_numbers_mean_what_they_look_like(written: str, vrid: int | None, file_of: Callable[[str], File]) -> None:
    file = file_of(
        f"nodes: {{a: 10.0.0.1, b: 10.0.0.2}}\nrouters:\n  web: {{vrid: {written}, addresses: [10.0.0.100]}}\n"
    )
    assert file.keys.routers["web"].vrid == vrid
    assert bool(file.mistakes) == (vrid is None)


def test_words_that_yaml_takes_for_something_else_stay_words(file_of: Callable[[str], File]) -> None:
    """In YAML 1.1 `off` is False, `no` is False and `1:2:3` is 3723."""
    file = file_of(
        "nodes: {no: 10.0.0.1, off: 10.0.0.2, 12: 10.0.0.3}\n"
        "routers:\n  web:\n    vrid: 51\n    addresses: [10.0.0.100]\n    announce: off\n    hear_first: OFF\n"
        "    preempt: No\n    interface: 1-2\n"
    )
    assert file.mistakes == ()
    assert list(file.keys.nodes) == ["no", "off", "12"]
    router = file.keys.routers["web"]
    assert (router.announce.at, router.announce.every, router.hear_first, router.preempt) == ((), 0, 0, False)
    assert "'1:2:3' is no IP address" in _said(file_of("nodes: {a: 1:2:3}\n"))[1]
