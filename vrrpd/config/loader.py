"""YAML with positions: the bytes of a file become a tree, or a list of mistakes, and never anything else.

Owns the syntax. It reads the parser's events itself and does not let PyYAML construct values, for four reasons:

* scalars stay text and are typed by the model, so that `off`, `051` and `1:2:3` mean what they look like (in YAML 1.1
  they are False, 41 and 3723);
* every node keeps its line and column;
* a doubled key is a mistake, where PyYAML lets the last one win;
* the stack of open collections is a list of ours with a limit, so that no file can exhaust the interpreter's.

Aliases are refused: expanding them lets a file of one kilobyte grow to gigabytes, and `defaults` does what they are
used for. So are tags, which could only contradict the model, and a second document.

Must not do: know any key of the schema. Source: YAML 1.1 as PyYAML's parser reads it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import cast

import yaml
from yaml import events

from vrrpd.config.tree import Mark, Node, Path, Sequence, Table, Text
from vrrpd.config.words import quote, secret
from vrrpd.errors import Mistake

MAX_BYTES = 4 * 1024 * 1024
MAX_DEPTH = 16
"""Collections inside each other; the schema needs six."""

_START = Mark(1, 1)
_FORBIDDEN = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]|\ufeff")

_PLAIN_WORDS: tuple[tuple[str, str], ...] = (
    (r"found character '\\t'", "a tab stands where only spaces may; indent with spaces"),
    (
        r"found character '([@`%])'",
        "a value cannot start with {0}; put the value in quotes",
    ),
    (
        r"mapping values are not allowed here",
        "a colon stands where no key can be; put a value with ': ' in quotes, and align the keys of one mapping",
    ),
    (r"could not find expected ':'", "this line is no 'key: value'; add the colon and a space after the key"),
    (
        r"expected ',' or '([\]}])'",
        "a bracket that was opened before is not closed; write ',' between the entries and '{0}' at the end",
    ),
    (r"unexpected end of stream", "a quote that was opened before is not closed; close it"),
    (
        r"unknown escape character",
        "this backslash means nothing in double quotes; write it twice, or use single quotes",
    ),
    (
        r"expected <block end>",
        "the indentation is off; start the entries of one list, and the keys of one mapping, in the same column",
    ),
    (
        r"but found '<block (?:mapping|sequence) start>'",
        "the indentation is off; start the entries of one list, and the keys of one mapping, in the same column",
    ),
    (r"expected the node content", "a value is missing before this place; write one, or remove the comma or bracket"),
)


@dataclass(slots=True)
class Parsed:
    """What the syntax gave.

    Attributes:
        root: the tree, or None where there is nothing to judge further.
        lost: paths whose value could not be taken; nobody must report them as missing.
        mistakes: everything wrong so far.
    """

    root: Table | None = None
    lost: list[Path] = field(default_factory=list[Path])
    mistakes: list[Mistake] = field(default_factory=list[Mistake])

    def report(self, mark: Mark, text: str) -> None:
        """Add one mistake."""
        self.mistakes.append(Mistake(mark.line, mark.column, text))


def read_file(path: str) -> Parsed:
    """Read and parse a file; a file that cannot be read is a mistake at its first character."""
    try:
        data = _read(path)
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL in it
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        parsed = Parsed()
        parsed.report(_START, f"the file cannot be read ({reason}); name a file that is there and readable with -c")
        return parsed
    return parse(data)


def _read(path: str) -> bytes:
    """The bytes of a file, one more than it may have at most. A pipe that nobody writes to is empty, not waited for."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    os.set_blocking(descriptor, True)
    with open(descriptor, "rb") as file:  # noqa: PTH123 - a descriptor has no path
        return file.read(MAX_BYTES + 1)


def parse(data: bytes) -> Parsed:
    """Parse the content of a file."""
    parsed = Parsed()
    if len(data) > MAX_BYTES:
        parsed.report(_START, f"the file is larger than {MAX_BYTES >> 20} MiB; no configuration needs that")
        return parsed
    try:
        text = data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8")
        parsed.report(_mark_after(before), f"byte 0x{data[error.start]:02x} is not UTF-8; save the file as UTF-8 text")
        return parsed
    odd = _FORBIDDEN.search(text)
    if odd:
        parsed.report(
            _mark_after(text[: odd.start()]), f"character U+{ord(odd.group()):04X} has no place here; remove it"
        )
        return parsed
    builder = _Builder(parsed)
    try:
        for event in _events(text):
            if not builder.take(event):
                return parsed
    except yaml.MarkedYAMLError as error:
        parsed.report(_mark(error.problem_mark), _in_plain_words(error.problem or ""))
        return parsed
    except (ValueError, OverflowError):  # PyYAML converts an escape or a version number that no integer can hold
        parsed.report(builder.last, "the text after this place is not YAML; correct its escapes and directives")
        return parsed
    _finish(parsed, builder.root)
    return parsed


def _events(text: str) -> Iterator[yaml.Event]:
    """The events of PyYAML's parser."""
    parse_events = cast("Callable[..., Iterator[yaml.Event]]", yaml.parse)  # pyright: ignore[reportUnknownMemberType] - its stubs have no types
    return parse_events(text, Loader=yaml.SafeLoader)


def _finish(parsed: Parsed, root: Node | None) -> None:
    """Accept a tree whose root is a mapping with something in it."""
    if isinstance(root, Table):
        parsed.root = root
    elif root is None and parsed.mistakes:
        return  # it was refused, and that has been said
    elif root is None or (isinstance(root, Text) and not root.text):
        parsed.report(_START, "the file is empty; the smallest file names one router under 'routers'")
    else:
        kind = "a list" if isinstance(root, Sequence) else "only a text"
        parsed.report(root.mark, f"the file holds {kind}; write 'key: value' lines, such as 'routers:'")


def _mark_after(text: str) -> Mark:
    """The place of the character that follows a text."""
    return Mark(text.count("\n") + 1, len(text) - text.rfind("\n"))


def _mark(mark: yaml.Mark | None) -> Mark:
    """The place of a mark of PyYAML, which counts from 0."""
    return Mark(mark.line + 1, mark.column + 1) if mark else _START


def _in_plain_words(problem: str) -> str:
    """Say what a complaint of the parser means to somebody who writes a configuration."""
    for pattern, words in _PLAIN_WORDS:
        match = re.search(pattern, problem)
        if match:
            return words.format(*match.groups())
    return f"this is not YAML ({problem.replace(chr(0), 'the end')}); correct the line, or the one before it"


@dataclass(slots=True)
class _Open:
    """A collection that has begun.

    Attributes:
        node: what is collected; None swallows the content of something that is refused.
        path: where it stands.
        key: in a mapping: the key that waits for its value; without a name where that value does not count.
    """

    node: Sequence | Table | None
    path: Path
    key: tuple[str | None, Mark] | None = None

    @property
    def awaits_key(self) -> bool:
        """The next node is a key of this mapping."""
        return isinstance(self.node, Table) and self.key is None


def _named(parent: _Open, name: str) -> str:
    """A key in a message; one that may be a secret is not shown."""
    return "this key" if secret((*parent.path, name)) else quote(name)


class _Builder:
    """Builds the tree from events, with a stack of its own."""

    def __init__(self, parsed: Parsed) -> None:
        self.root: Node | None = None
        self.last = _START
        self._parsed = parsed
        self._stack: list[_Open] = []
        self._documents = 0

    def take(self, event: yaml.Event) -> bool:
        """Take one event; False where going on makes no sense."""
        self.last = _mark(event.start_mark)
        match event:
            case events.DocumentStartEvent():
                self._documents += 1
                if self._documents > 1:
                    self._parsed.report(
                        _mark(event.start_mark), "a second document starts here; one file holds one, remove the '---'"
                    )
                    return False
            case events.AliasEvent():
                self._refuse_alias(event)
            case events.ScalarEvent():
                self._refuse_tag(event)
                self._scalar(event)
            case events.SequenceStartEvent() | events.MappingStartEvent():
                self._refuse_tag(event)
                return self._begin(event)
            case events.SequenceEndEvent() | events.MappingEndEvent():
                self._stack.pop()
            case _:
                pass
        return True

    def _refuse_alias(self, event: events.AliasEvent) -> None:
        mark = _mark(event.start_mark)
        self._parsed.report(
            mark,
            "an alias (a value that begins with '*') is not supported; write the value out or put it in quotes, "
            "or put what routers share into 'defaults'",
        )
        parent = self._stack[-1] if self._stack else None
        if parent is not None and parent.awaits_key:
            parent.key = (None, mark)
            self._parsed.lost.append(parent.path)  # whatever was to stand here
        else:
            self._put(None, mark)

    def _refuse_tag(self, event: events.ScalarEvent | events.CollectionStartEvent) -> None:
        if event.tag is not None and event.tag != "!":
            self._parsed.report(
                _mark(event.start_mark),
                "a tag (a value that begins with '!') is not supported; remove it, or put the value in quotes",
            )

    def _scalar(self, event: events.ScalarEvent) -> None:
        mark = _mark(event.start_mark)
        odd = _FORBIDDEN.search(event.value)  # by an escape such as "\0" in double quotes
        if odd:
            self._parsed.report(mark, f"character U+{ord(odd.group()):04X} has no place here; remove it")
        parent = self._stack[-1] if self._stack else None
        if parent is not None and isinstance(parent.node, Table) and parent.key is None:
            self._key(parent, parent.node, event.value, mark)
        elif odd:
            self._put(None, mark)
        elif parent is not None and not event.value and event.style is None:
            self._empty(parent, mark)
        else:
            self._put(Text(mark, event.value), mark)

    def _empty(self, parent: _Open, mark: Mark) -> None:
        """Refuse a value that is not there (`vrid:` with nothing behind it)."""
        if parent.key is not None:
            name, mark = parent.key
            if name is not None:
                self._parsed.report(mark, f"{_named(parent, name)} has no value; write one, or remove the key")
        elif parent.node is not None:
            self._parsed.report(mark, "this entry of the list is empty; write a value, or remove it")
        self._put(None, mark)

    def _key(self, parent: _Open, table: Table, name: str, mark: Mark) -> None:
        """Take a key, and decide whether its value counts."""
        if not name:
            self._parsed.report(mark, "a key is empty; write its name before the colon")
            parent.key = (None, mark)
        elif name in table.entries or (*parent.path, name) in self._parsed.lost:
            first = table.entries[name][0].line if name in table.entries else None
            where = f", first on line {first}" if first else ""
            self._parsed.report(mark, f"{_named(parent, name)} is given twice{where}; keep one of them")
            parent.key = (None, mark)
        else:
            parent.key = (name, mark)

    def _begin(self, event: events.CollectionStartEvent) -> bool:
        mark = _mark(event.start_mark)
        parent = self._stack[-1] if self._stack else None
        if len(self._stack) >= MAX_DEPTH:
            self._parsed.report(mark, f"more than {MAX_DEPTH} lists or mappings inside each other; no key needs that")
            return False
        if parent is not None and parent.awaits_key:
            self._parsed.report(mark, "a list or mapping cannot be a key; write a name, and put the rest after a colon")
            parent.key = (None, mark)
            self._parsed.lost.append(parent.path)
            self._stack.append(_Open(None, ()))
            return True
        node = Sequence(mark) if isinstance(event, events.SequenceStartEvent) else Table(mark)
        path = self._put(node, mark)
        self._stack.append(_Open(None if path is None else node, path or ()))
        return True

    def _put(self, node: Node | None, mark: Mark) -> Path | None:
        """Give a value to the collection it belongs to; None as value marks one that is lost.

        Returns:
            The path of the value, None where it does not count.
        """
        if not self._stack:
            self.root = node
            return ()
        parent = self._stack[-1]
        if isinstance(parent.node, Sequence):
            path = (*parent.path, len(parent.node.items))
            if node is None:
                self._parsed.lost.append(path)
                return None
            parent.node.items.append(node)
            return path
        if isinstance(parent.node, Table):
            name, key_mark = parent.key or (None, mark)
            parent.key = None
            if name is None:
                return None
            path = (*parent.path, name)
            if node is None:
                self._parsed.lost.append(path)
                return None
            parent.node.entries[name] = (key_mark, node)
            return path
        return None
