"""The file once it is read: typed values, the place of each, and every mistake of syntax and shape.

Owns `File`, and the way to it: parse, validate, cut out what is wrong, validate the rest again until nothing is wrong
any more. So the values in a `File` are always well typed, a mistake in one key never hides those in another, and a key
that was cut out counts as lost and not as missing (`File.sound`).

Also owns `Report`, in which the judges that come after (`lint_file`, `lint_router`, `members`) write what they find.

Must not do: judge what values mean together.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from vrrpd.config.kinds import Kinds
from vrrpd.config.loader import Parsed
from vrrpd.config.model import FileKeys
from vrrpd.config.schema import json_schema
from vrrpd.config.tree import Mark, Node, Path, Table, existing, place, plain, without
from vrrpd.config.words import closest, known_keys, misplaced, sentence
from vrrpd.errors import Mistake

_MOVERS = "movers"


@dataclass(frozen=True, slots=True)
class File:
    """A configuration file.

    Attributes:
        path: as it was named.
        keys: what it says, without what is wrong.
        options: for each check its kinds with what their validators made of the options; a right one has one kind.
        movers: the same for each entry of each list of movers, by the path of the list.
        kinds: all kinds there are.
        root: the tree that `keys` was made from.
        lost: paths that could not be taken; () where nothing could.
        mistakes: everything that is wrong, as far as it shows without the host.
        warnings: what is odd, as far as it shows without the host.
    """

    path: str
    keys: FileKeys
    options: Mapping[str, Mapping[str, Any]]
    movers: Mapping[Path, Sequence[Mapping[str, Any]]]
    kinds: Kinds = field(repr=False)
    root: Node
    lost: frozenset[Path]
    mistakes: tuple[Mistake, ...] = ()
    warnings: tuple[Mistake, ...] = ()

    def sound(self, *path: str | int) -> bool:
        """Whether everything at, above and below a path could be taken, so that what is absent was not written."""
        return not any(path[: len(lost)] == lost or lost[: len(path)] == path for lost in self.lost)

    def kind(self, check: str) -> str | None:
        """The kind of a check, the first where it was given several; None where that is not known."""
        return next(iter(self.options.get(check, {})), None)


@dataclass(slots=True)
class Report:
    """Collects what is found in one file; the same thing found twice is one finding."""

    file: File
    mistakes: set[Mistake] = field(default_factory=set[Mistake])
    warnings: set[Mistake] = field(default_factory=set[Mistake])

    def wrong(self, path: Path, what: str, right: str, *, key: bool = False) -> None:
        """Report a mistake at a path (`key`: at the key itself, see `tree.place`)."""
        self.mistakes.add(self._finding(path, what, right, key=key))

    def odd(self, path: Path, what: str, right: str, *, key: bool = False) -> None:
        """Report a warning."""
        self.warnings.add(self._finding(path, what, right, key=key))

    def _finding(self, path: Path, what: str, right: str, *, key: bool) -> Mistake:
        mark = place(self.file.root, path, key=key)
        return Mistake(mark.line, mark.column, f"{what}; {right}")


@dataclass(frozen=True, slots=True)
class _Complaint:
    """One error of a validator.

    Attributes:
        loc: pydantic's path from the root of the file; parts may name branches of a choice, which the file lacks.
        path: the part of it that the file has.
        error: the error itself.
    """

    loc: tuple[str | int, ...]
    path: Path
    error: ErrorDetails

    @property
    def points_at_key(self) -> bool:
        """The key is wrong, not its value."""
        return self.error["type"] == "extra_forbidden" or self.loc[-1:] == ("[key]",)


def shape(path: str, parsed: Parsed, kinds: Kinds) -> File:
    """Give types to what the parser found.

    Args:
        path: of the file.
        parsed: what the syntax gave.
        kinds: the kinds that the file may use.
    """
    root, lost, mistakes = parsed.root, set(parsed.lost), list(parsed.mistakes)
    if root is None:
        empty = Table(Mark(1, 1))
        return File(path, FileKeys(), {}, {}, kinds, empty, frozenset({()}), tuple(mistakes))
    tree: Node = root
    while True:
        found = _validate(tree, kinds)
        if not found.complaints:
            return File(path, found.keys, found.options, found.movers, kinds, tree, frozenset(lost), tuple(mistakes))
        described, meant = _described(tree, found.complaints, kinds, lost)
        mistakes += described
        cuts = {_cut(complaint.path) for complaint in found.complaints}
        lost |= cuts | meant
        tree = without(tree, cuts)


@dataclass(slots=True)
class _Judged:
    """What the models and the kinds make of a tree.

    Attributes:
        tree: that tree.
        keys: see `File`, as the two that follow.
        options: of checks.
        movers: options of movers.
        complaints: what is wrong.
    """

    tree: Node
    keys: FileKeys = field(default_factory=FileKeys)
    options: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    movers: dict[Path, list[dict[str, Any]]] = field(default_factory=dict[Path, list[dict[str, Any]]])
    complaints: list[_Complaint] = field(default_factory=list[_Complaint])

    def take(self, path: Path, adapter: TypeAdapter[Any], value: Any) -> dict[str, Any]:
        """Let a kind, the last part of the path, judge its options: what became of them by its name, or nothing."""
        try:
            return {str(path[-1]): adapter.validate_python(value)}
        except ValidationError as error:
            self.complain(path, error)
            return {}

    def complain(self, above: Path, error: ValidationError) -> None:
        """Take what a validator says about what stands at a path."""
        for detail in error.errors(include_url=False):
            loc = (*above, *detail["loc"])
            self.complaints.append(_Complaint(loc, existing(self.tree, loc), detail))


def _validate(tree: Node, kinds: Kinds) -> _Judged:
    """Let the models and the kinds of checks and movers judge a tree."""
    data = cast("dict[str, Any]", plain(tree))
    judged = _Judged(tree)
    for name, body in _mappings(data.get("checks")):
        judged.options[name] = {}
        for kind in [key for key in body if key in kinds.checks]:
            judged.options[name] |= judged.take(("checks", name, kind), kinds.checks[kind].options, body.pop(kind))
    for path, entries in _lists_of_movers(data):
        judged.movers[path] = [{} for _ in entries]
        for index, entry in enumerate(entries):
            for kind in [key for key in entry if key in kinds.movers]:
                adapter = kinds.movers[kind].options
                judged.movers[path][index] |= judged.take((*path, index, kind), adapter, entry.pop(kind))
    try:
        judged.keys = FileKeys.model_validate(data)
    except ValidationError as error:
        judged.complain((), error)
    return judged


def _mappings(data: Any) -> Iterable[tuple[str, dict[str, Any]]]:
    """The entries of a mapping that are mappings themselves."""
    if isinstance(data, dict):
        for name, body in cast("dict[str, Any]", data).items():
            if isinstance(body, dict):
                yield name, cast("dict[str, Any]", body)


def _lists_of_movers(data: dict[str, Any]) -> Iterable[tuple[Path, list[dict[str, Any]]]]:
    """Every list of movers, by its path; an entry that is no mapping is an empty one."""
    defaults = ((("defaults",), body) for name, body in _mappings(data) if name == "defaults")
    bodies = [*defaults, *((("routers", name), body) for name, body in _mappings(data.get("routers")))]
    for path, body in bodies:
        entries = body.get(_MOVERS)
        if isinstance(entries, list):
            found = cast("list[Any]", entries)
            yield (*path, _MOVERS), [cast("dict[str, Any]", e) if isinstance(e, dict) else {} for e in found]


def _written(tree: Node, kinds: Kinds) -> set[str]:
    """The kinds of movers that a file names."""
    entries = (entry for _, each in _lists_of_movers(cast("dict[str, Any]", plain(tree))) for entry in each)
    return {kind for entry in entries for kind in entry if kind in kinds.movers}


def _mover_of(path: Path) -> Path:
    """The part of a path that leads to an entry of a list of movers; () where there is none."""
    depth = {"defaults": 1, "routers": 2}.get(str(path[0]), 0) if path else 0
    return path[: depth + 2] if path[depth : depth + 1] == (_MOVERS,) and len(path) > depth + 1 else ()


def _cut(path: Path) -> Path:
    """What goes with a mistake: of a mover all options, since what is left of them may mean something else."""
    entry = _mover_of(path)
    return path[: len(entry) + 1] if entry else path


def _described(
    tree: Node, complaints: list[_Complaint], kinds: Kinds, lost: Iterable[Path]
) -> tuple[list[Mistake], set[Path]]:
    """Complaints as mistakes: one for each place, in plain words.

    Where a value may have several forms, pydantic complains about each of them. A complaint about the form as a whole
    gives way to one from inside the form that was meant, and several about one value become one. A list that is
    too short because of wrong entries is not complained about either.

    Returns:
        The mistakes, and the paths that misspelt keys were probably meant to be; nobody must report those as missing.
    """
    paths = [complaint.path for complaint in complaints]
    locs = [complaint.loc for complaint in complaints]
    schema = None
    meant: set[Path] = set()
    said: dict[tuple[Path, str, str], list[str]] = {}
    for complaint in complaints:
        kind, path = complaint.error["type"], complaint.path
        if (kind.endswith("_type") and _has_inside(path, paths)) or (
            kind == "too_short" and _has_inside(complaint.loc, locs)
        ):
            continue
        known: set[str] = set()
        if kind == "extra_forbidden":
            schema = schema or json_schema(kinds, _written(tree, kinds))
            known = known_keys(schema, path[:-1])
            guess = closest(str(path[-1]), known)
            meant |= {(*path[:-1], guess)} if guess else set()
        own = str(complaint.loc[-1]) if kind == "missing" else ""
        words = said.setdefault((path, own, "key" if complaint.points_at_key else ""), [])
        beside = next((gone[-1] for gone in lost if gone[:-1] == path[:-1] == _mover_of(path)), None)
        words.append(misplaced(path[-1], beside) if beside else sentence(complaint.error, path[:-1], known))
    mistakes: list[Mistake] = []
    for (path, _, key), sentences in said.items():
        mark = place(tree, path, key=bool(key))
        mistakes.append(Mistake(mark.line, mark.column, _joined(sentences)))
    return mistakes, meant


def _has_inside(path: Path, others: Iterable[Path]) -> bool:
    """Whether one of the other paths leads further inside."""
    return any(len(other) > len(path) and other[: len(path)] == path for other in others)


def _joined(sentences: list[str]) -> str:
    """Several sentences about one value as one: what is wrong once, then everything that would be right."""
    wrong, _, right = sentences[0].partition("; ")
    offers = dict.fromkeys([right, *(sentence.partition("; ")[2] for sentence in sentences[1:])])
    return f"{wrong}; {', or '.join(offers)}"
