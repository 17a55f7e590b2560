"""The repository tests itself: what the README says is what the code does, and the house keeps its shape."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from vrrpd.checks.registry import KINDS
from vrrpd.config import json_schema, read
from vrrpd.config.words import known_keys
from vrrpd.kinds import kinds
from vrrpd.movers.base import CommonOptions
from vrrpd.movers.registry import MODULES
from vrrpd.runtime.alarms import Code

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
SOURCES = sorted([*ROOT.glob("vrrpd/**/*.py"), *ROOT.glob("netns-lab/netns_lab/**/*.py")])
LONGEST_MODULE = 500
SHARED = {"ec2": {"network_interface_id", "region", "endpoint_url", "ca"}, "http": {"call_timeout"}}
"""Options that several kinds of movers have, which the README names once."""


def rows(first_cell: str) -> list[str]:
    """The first cells of the README's table with this header."""
    lines = README.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(f"| {first_cell} |"))
    table = lines[start + 2 :]
    end = next((i for i, line in enumerate(table) if not line.startswith("|")), len(table))
    return [re.findall(r"`([\w-]+)", line)[0] for line in table[:end]]


def options_of(mover: str) -> set[str]:
    """The words in the README's row of a mover that may be its options."""
    row = next(line for line in README.splitlines() if line.startswith(f"| `{mover}` |"))
    return {*re.findall(r"`(\w+)`", row.partition("` | ")[2])}


@pytest.mark.parametrize("block", BLOCKS, ids=[f"block{number}" for number in range(len(BLOCKS))])
def test_what_the_readme_shows_of_a_configuration_is_right(block: str, tmp_path: Path) -> None:
    head = "nodes: {lb1: 10.0.0.11, lb2: 10.0.0.12}\nrouters:\n  web:\n    vrid: 51\n    movers:\n"
    path = tmp_path / "vrrpd.yaml"
    path.write_text(head + block if block.lstrip().startswith("- ") else block)
    file = read(str(path), kinds())
    assert (file.mistakes, file.warnings) == ((), ())


def test_the_readme_lists_every_router_key() -> None:
    keys = json_schema(kinds(), ())["$defs"]["RouterKeys"]["properties"]
    assert rows("router key") == list(keys)


def test_the_readme_lists_every_kind_of_check() -> None:
    assert rows("check") == list(KINDS)


def test_the_readme_lists_every_kind_of_mover() -> None:
    assert rows("mover") == list(MODULES)


def test_the_readme_lists_every_option_that_all_movers_have() -> None:
    assert rows("option of all movers") == list(CommonOptions.model_fields)


@pytest.mark.parametrize("kind", MODULES)
def test_the_readme_lists_every_option_of_a_mover_of_its_own(kind: str) -> None:
    schema = json_schema(kinds(), [kind])
    options = schema["$defs"]["MoverKeys"]["properties"][kind]
    shared = {*CommonOptions.model_fields, *SHARED.get(MODULES[kind].split(".")[2], ())}
    assert options_of(kind) == {*known_keys({**options, "$defs": schema["$defs"]}, ())} - shared


@pytest.mark.parametrize("kind", MODULES)
def test_every_kind_of_mover_has_its_test_file(kind: str) -> None:
    together = MODULES[kind].rpartition(".")[2]  # presets stand in one module, and in one file of tests
    names = {f"test_mover_{name}.py" for name in (kind.replace("-", "_"), together)}
    assert any((ROOT / "tests/movers" / name).is_file() for name in names)


def test_the_readme_lists_every_alarm() -> None:
    assert rows("code") == sorted(Code)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_check_has_its_test_file(kind: str) -> None:
    assert (ROOT / f"tests/checks/test_check_{kind}.py").is_file()


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_module_opens_with_a_chapter_and_stays_small(path: Path) -> None:
    text = path.read_text()
    assert ast.get_docstring(ast.parse(text)), "a module says what it owns"
    assert len(text.splitlines()) <= LONGEST_MODULE


def test_no_committed_file_records_a_download_address() -> None:
    lock_files = [p.name for p in ROOT.iterdir() if p.name.endswith((".lock", "requirements.txt", "lock.json"))]
    assert lock_files == []
