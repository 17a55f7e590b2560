"""The kinds of checks and movers that a file may name, as they are handed in: this package knows none of them.

Owns what it wants to be told of a kind, and nothing else. A kind of mover is looked at when a file first names it, and
not before: the table may import it only then.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from pydantic import TypeAdapter

from vrrpd.proto.settings import Address

CheckKinds: TypeAlias = Mapping[str, TypeAdapter[Any]]
"""Name of a kind of check to the validator of its options; the registry of checks has it."""


class MoverKind(Protocol):
    """What a file is told by a kind of mover; each question is asked about validated options."""

    @property
    def options(self) -> TypeAdapter[Any]:
        """Validates what stands under the kind's name."""
        ...

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
        checks: validators of the kinds of checks.
        movers: the kinds of movers; a table that may import a kind when it is first looked up.
    """

    checks: CheckKinds
    movers: Mapping[str, MoverKind]
