"""The file once it is read: typed values, the place of each, and every mistake of syntax and shape.

Owns `File`, and the way to it: parse, validate, cut out what is wrong, validate the rest again until nothing is wrong
any more. So the values in a `File` are always well typed, a mistake in one key never hides those in another, and a key
that was cut out counts as lost and not as missing (`File.sound`).

Also owns `Report`, in which the judges that come after (`lint_file`, `lint_router`, `members`) write what they find.

Must not do: judge what values mean together.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from vrrpd.config.loader import Parsed
from vrrpd.config.model import FileKeys
from vrrpd.config.schema import CheckKinds, json_schema
from vrrpd.config.tree import Mark, Node, Path, Table, existing, place, plain, without
from vrrpd.config.words import closest, known_keys, sentence
from vrrpd.errors import Mistake


@dataclass(frozen=True, slots=True)
class File:
    """A configuration file.

    Attributes:
        path: as it was named.
        keys: what it says, without what is wrong.
        options: for each check its kinds with what their validators made of the options; a right one has one kind.
        kinds: names of the kinds of checks there are.
        root: the tree that `keys` was made from.
        lost: paths that could not be taken; () where nothing could.
        mistakes: everything that is wrong, as far as it shows without the host.
        warnings: what is odd, as far as it shows without the host.
    """

    path: str
    keys: FileKeys
    options: Mapping[str, Mapping[str, Any]]
    kinds: tuple[str, ...]
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


def shape(path: str, parsed: Parsed, kinds: CheckKinds) -> File:
    """Give types to what the parser found.

    Args:
        path: of the file.
        parsed: what the syntax gave.
        kinds: the kinds of checks that the file may use.
    """
    root, lost, mistakes = parsed.root, set(parsed.lost), list(parsed.mistakes)
    if root is None:
        empty = Table(Mark(1, 1))
        return File(path, FileKeys(), {}, tuple(kinds), empty, frozenset({()}), tuple(mistakes))
    tree: Node = root
    while True:
        keys, options, complaints = _validate(tree, kinds)
        if not complaints:
            return File(path, keys, options, tuple(kinds), tree, frozenset(lost), tuple(mistakes))
        described, meant = _described(tree, complaints, kinds)
        mistakes += described
        cuts = {complaint.path for complaint in complaints}
        lost |= cuts | meant
        tree = without(tree, cuts)


def _validate(tree: Node, kinds: CheckKinds) -> tuple[FileKeys, dict[str, dict[str, Any]], list[_Complaint]]:
    """Let the models and the kinds of checks judge a tree."""
    data = cast("dict[str, Any]", plain(tree))
    options: dict[str, dict[str, Any]] = {}
    complaints: list[_Complaint] = []

    def complain(above: Path, error: ValidationError) -> None:
        for detail in error.errors(include_url=False):
            loc = (*above, *detail["loc"])
            complaints.append(_Complaint(loc, existing(tree, loc), detail))

    for name, body in _mappings(data.get("checks")):
        options[name] = {}
        for kind in [key for key in body if key in kinds]:
            try:
                options[name][kind] = kinds[kind].validate_python(body.pop(kind))
            except ValidationError as error:
                complain(("checks", name, kind), error)
    try:
        keys = FileKeys.model_validate(data)
    except ValidationError as error:
        complain((), error)
        keys = FileKeys()
    return keys, options, complaints


def _mappings(data: Any) -> Iterable[tuple[str, dict[str, Any]]]:
    """The entries of a mapping that are mappings themselves."""
    if isinstance(data, dict):
        for name, body in cast("dict[str, Any]", data).items():
            if isinstance(body, dict):
                yield name, cast("dict[str, Any]", body)


def _described(tree: Node, complaints: list[_Complaint], kinds: CheckKinds) -> tuple[list[Mistake], set[Path]]:
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
    found: dict[tuple[Path, str, str], list[str]] = {}
    for complaint in complaints:
        kind, path = complaint.error["type"], complaint.path
        if (kind.endswith("_type") and _has_inside(path, paths)) or (
            kind == "too_short" and _has_inside(complaint.loc, locs)
        ):
            continue
        known: set[str] = set()
        if kind == "extra_forbidden":
            schema = schema or json_schema(kinds)
            known = known_keys(schema, path[:-1])
            guess = closest(str(path[-1]), known)
            meant |= {(*path[:-1], guess)} if guess else set()
        own = str(complaint.loc[-1]) if kind == "missing" else ""
        words = found.setdefault((path, own, "key" if complaint.points_at_key else ""), [])
        words.append(sentence(complaint.error, path[:-1], known))
    mistakes: list[Mistake] = []
    for (path, _, key), sentences in found.items():
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
