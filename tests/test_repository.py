"""The repository tests itself: what the README says is what the code does, and the house keeps its shape."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from vrrpd.checks.registry import KINDS, kinds
from vrrpd.config import json_schema
from vrrpd.runtime.alarms import Code

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
MODULES = sorted([*ROOT.glob("vrrpd/**/*.py"), *ROOT.glob("netns-lab/netns_lab/**/*.py")])
LONGEST_MODULE = 500


def rows(first_cell: str) -> list[str]:
    """The first cells of the README's table with this header."""
    lines = README.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(f"| {first_cell} |"))
    table = lines[start + 2 :]
    end = next((i for i, line in enumerate(table) if not line.startswith("|")), len(table))
    return [re.findall(r"`(\w+)", line)[0] for line in table[:end]]


def test_the_readme_lists_every_router_key() -> None:
    keys = json_schema(kinds())["$defs"]["RouterKeys"]["properties"]
    assert rows("router key") == list(keys)


def test_the_readme_lists_every_kind_of_check() -> None:
    assert rows("check") == list(KINDS)


def test_the_readme_lists_every_alarm() -> None:
    assert rows("code") == sorted(Code)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_check_has_its_test_file(kind: str) -> None:
    assert (ROOT / f"tests/checks/test_check_{kind}.py").is_file()


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_module_opens_with_a_chapter_and_stays_small(path: Path) -> None:
    text = path.read_text()
    assert ast.get_docstring(ast.parse(text)), "a module says what it owns"
    assert len(text.splitlines()) <= LONGEST_MODULE


def test_no_committed_file_records_a_download_address() -> None:
    lock_files = [p.name for p in ROOT.iterdir() if p.name.endswith((".lock", "requirements.txt", "lock.json"))]
    assert lock_files == []
