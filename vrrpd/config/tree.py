"""The file as a tree in which everything still knows where it stood.

Owns three kinds of node (text, list, mapping) with 1-based positions, and the few walks over them: the plain values
for the model, the position of a path, the same tree without some of its paths.

Cutting a path out is how one mistake does not hide the others: what is wrong is reported, taken out of the tree, and
the rest is judged again as if it had never been written. The paths taken out are remembered (`config.file`), so that
nobody then reports them as missing.

Must not do: know YAML or the schema. Values are text here; the model gives them types.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeAlias, cast

Path: TypeAlias = tuple[str | int, ...]
"""From the root to a node: keys of mappings and 0-based indexes of lists."""

Plain: TypeAlias = "str | list[Plain] | dict[str, Plain]"
"""What a node holds, without positions."""


@dataclass(frozen=True, slots=True, order=True)
class Mark:
    """A place in the file; line and column count from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Text:
    """A scalar, exactly as it was written between its quotes; it may be a secret, so its `repr` leaves it out."""

    mark: Mark
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Sequence:
    """A list."""

    mark: Mark
    items: list[Node] = field(default_factory=list["Node"])


@dataclass(frozen=True, slots=True)
class Table:
    """A mapping, with the place of each key beside its value."""

    mark: Mark
    entries: dict[str, tuple[Mark, Node]] = field(default_factory=dict[str, tuple[Mark, "Node"]])


Node: TypeAlias = Text | Sequence | Table


def plain(node: Node) -> Plain:
    """The values of a tree: `str`, `list` and `dict`."""
    if isinstance(node, Text):
        return node.text
    if isinstance(node, Sequence):
        return [plain(item) for item in node.items]
    return {key: plain(value) for key, (_, value) in node.entries.items()}


def _steps(root: Node, path: Iterable[object]) -> Iterator[tuple[str | int, Mark, Node]]:
    """Follow a path, passing over parts that the tree does not have.

    A validator's path names the branch of a choice as well as keys and indexes, and a key that is missing.

    Yields:
        For each step its part, the mark of its key or item, and the node.
    """
    node = root
    for part in path:
        if isinstance(node, Table) and part in node.entries:
            mark, node = node.entries[cast("str", part)]
        elif isinstance(node, Sequence) and isinstance(part, int) and 0 <= part < len(node.items):
            node = node.items[part]
            mark = node.mark
        else:
            continue
        yield cast("str | int", part), mark, node


def existing(root: Node, path: Iterable[object]) -> Path:
    """The parts of a path that the tree has."""
    return tuple(part for part, _, _ in _steps(root, path))


def place(root: Node, path: Iterable[object], *, key: bool = False) -> Mark:
    """Where to point a reader: at a value if it is text, else at the key that introduces it.

    Args:
        root: the whole tree.
        path: the node; where the tree does not have it, the nearest node above counts.
        key: point at the key even where the value is text.
    """
    found = root.mark
    for _, mark, node in _steps(root, path):
        found = node.mark if isinstance(node, Text) and not key else mark
    return found


def without(root: Node, paths: Iterable[Path]) -> Node:
    """The same tree with some nodes cut out; paths count in the tree as it was before, and none is the root's own."""
    cuts: dict[str | int, list[Path]] = {}
    for first, *rest in paths:
        cuts.setdefault(first, []).append(tuple(rest))
    if isinstance(root, Text):
        return root
    if isinstance(root, Sequence):
        kept = [(cuts.get(index, []), item) for index, item in enumerate(root.items)]
        return Sequence(root.mark, [without(item, cut) for cut, item in kept if () not in cut])
    left = {key: (mark, value, cuts.get(key, [])) for key, (mark, value) in root.entries.items()}
    entries = {key: (mark, without(value, cut)) for key, (mark, value, cut) in left.items() if () not in cut}
    return Table(root.mark, entries)
