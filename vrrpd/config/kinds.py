"""The kinds of checks and movers that a file may name, as they are handed in: this package knows none of them.

Owns what it wants to be told of a kind, and `Table`, in which both are found. A kind is looked at when a file first
names it, and not before, for it is imported then: who has no use for HTTP does not wait for its libraries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol, TypeVar

from pydantic import TypeAdapter

from vrrpd.proto.settings import Address

KindT = TypeVar("KindT")


class CheckKind(Protocol):
    """What a file is told by a kind of check."""

    @property
    def options(self) -> TypeAdapter[Any]:
        """Validates what stands under the kind's name."""
        ...


class MoverKind(CheckKind, Protocol):
    """What a file is told by a kind of mover; each question is asked about validated options."""

    @property
    def names(self) -> Callable[[Any], Mapping[str, Sequence[str]]]:
        """Options that are written for each node: key of the option -> names of the nodes; "" is one value for all."""
        ...

    @property
    def addresses(self) -> Callable[[Any], Sequence[Address]]:
        """Shared addresses that the options bring to the router."""
        ...

    @property
    def things(self) -> Callable[[Any], Sequence[str]]:
        """What is moved, in words; two movers must not name the same."""
        ...

    @property
    def ports(self) -> Callable[[Any], Sequence[tuple[str, int]]]:
        """(host, port) of each TCP port that it answers on; "" for all addresses of the host."""
        ...


@dataclass(frozen=True, slots=True)
class Kinds:
    """All kinds that a file may name.

    Attributes:
        checks: the kinds of checks.
        movers: the kinds of movers.
    """

    checks: Mapping[str, CheckKind]
    movers: Mapping[str, MoverKind]


class Table(Mapping[str, KindT]):
    """Kinds by name; the module of one is imported when it is first asked for."""

    def __init__(self, modules: Mapping[str, str]) -> None:
        """Make the table.

        Args:
            modules: where each kind lives: a module with a table `KINDS` of name -> kind.
        """
        self._modules = modules

    def __getitem__(self, name: str) -> KindT:
        return import_module(self._modules[name]).KINDS[name]

    def __contains__(self, name: object) -> bool:
        return name in self._modules

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __len__(self) -> int:
        return len(self._modules)
