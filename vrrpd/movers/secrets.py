"""Where a secret of a mover comes from, and the reading of it; the file of the configuration never holds one itself.

A secret is named as a place: `file:/path`, `env:NAME`, or `credential:NAME` (systemd's LoadCredential=, a file in the
directory that the service manager names). It is read in a worker thread, or, where only root may, from a descriptor
that the launcher opens. Read again, it may be another one: tokens are rotated while the agent runs.

What stands in the place of a secret and names no place is refused, and never shown: it may be the secret.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, TypeAlias, get_args

import trio
from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from vrrpd.config.words import plain_error
from vrrpd.errands import CannotStartError, Programs
from vrrpd.movers.base import UnauthenticatedError

Origin: TypeAlias = Literal["file", "env", "credential"]

ORIGINS: Final[tuple[Origin, ...]] = get_args(Origin)
"""The words before the colon."""
_NAMES: Final[Mapping[str, str]] = {
    "file": r"/.*[^/]",
    "env": r"[A-Za-z_][A-Za-z0-9_]*",
    "credential": r"[^/\s]+",
}
_DIRECTORY: Final = "CREDENTIALS_DIRECTORY"  # systemd.exec(5)
_LIMIT: Final = 64 * 1024  # bytes; the longest token that a cloud gives out has some thousand
_HOW: Final = "write file:/path, env:NAME or credential:NAME; the secret itself has no place in this file"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a secret is.

    Attributes:
        origin: a file, a variable of the environment, or a credential of the service manager.
        name: path of the file, or name of the variable or credential.
    """

    origin: Origin
    name: str

    def __str__(self) -> str:
        """As it is written in the configuration."""
        return f"{self.origin}:{self.name}"

    @property
    def path(self) -> str | None:
        """Path of the file that holds the secret; None where none does, or where the service manager names none."""
        if self.origin == "credential":
            folder = os.environ.get(_DIRECTORY)
            return folder and f"{folder}/{self.name}"
        return self.name if self.origin == "file" else None


class _Written:
    """Metadata of an annotation: the spellings of a place."""

    def __get_pydantic_core_schema__(self, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(_place)

    def __get_pydantic_json_schema__(self, _core: CoreSchema, _handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"type": "string", "pattern": f"^({'|'.join(ORIGINS)}):.+"}


def _place(value: object) -> Place:
    origin, colon, name = value.partition(":") if isinstance(value, str) else ("", "", "")
    for known in ORIGINS:
        if colon and origin == known:
            if not re.fullmatch(_NAMES[known], name) or not name.isprintable():
                raise plain_error(f"what follows '{known}:' is no {_what(known)}", _HOW)
            return Place(known, name)
    raise plain_error("this does not name the place of a secret", _HOW)


def _what(origin: Origin) -> str:
    return {"file": "absolute path of a file", "env": "name of a variable", "credential": "name of a credential"}[
        origin
    ]


SecretPlace: TypeAlias = Annotated[Place, _Written()]
"""Type of an option that names the place of a secret."""


def errands(places: tuple[Place, ...]) -> list[dict[str, Any]]:
    """What the launcher is asked for: files that only root may read."""
    return [{"open": path} for place in places if (path := place.path)]


def inspect(places: tuple[Place, ...]) -> str | None:
    """What keeps this host from reading the secrets in files; of others only the service's own start can tell."""
    for place in places:
        if place.origin == "file":
            try:
                _read(place.name)
            except OSError as error:
                return str(_unreadable(place, error))
            except UnauthenticatedError as error:
                return str(error)
    return None


async def read(place: Place, programs: Programs) -> str:
    """Read a secret, without the line end behind it.

    Args:
        place: where it is.
        programs: opens the file where only root may read it.

    Raises:
        UnauthenticatedError: it cannot be read; the text names the place and never what is there.
    """
    if place.origin == "env":
        return _checked(place, os.environ.get(place.name, "").encode("utf-8", "surrogateescape"))
    path = place.path
    if path is None:
        wrong = f"{place} cannot be read: the service manager names no directory of credentials"
        raise UnauthenticatedError(f"{wrong}; add LoadCredential={place.name}:/path to the unit of this service")
    try:
        data = await trio.to_thread.run_sync(_read, path, abandon_on_cancel=True)
    except PermissionError as error:
        try:
            opened = await programs.open(path)
        except CannotStartError:
            raise _unreadable(place, error) from None
        try:
            data = await trio.to_thread.run_sync(_read, opened)
        except OSError as late:
            raise _unreadable(place, late) from None
    except OSError as error:
        raise _unreadable(place, error) from None
    return _checked(place, data)


def _read(file: str | int) -> bytes:
    """The beginning of a regular file, by its path or by a descriptor, which is closed; blocks."""
    descriptor = file if isinstance(file, int) else os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(0, "no regular file")
        return os.read(descriptor, _LIMIT + 1)
    finally:
        os.close(descriptor)


def _checked(place: Place, data: bytes) -> str:
    """The secret as a text that fits into a header."""
    text = data.removesuffix(b"\n").removesuffix(b"\r")
    if not text:
        raise UnauthenticatedError(f"{place} is empty; put the secret there")
    if len(text) > _LIMIT or not text.isascii() or not text.decode("ascii").isprintable():
        raise UnauthenticatedError(
            f"{place} holds no secret of one line of printable ASCII; put the secret alone there"
        )
    if text != text.strip():
        raise UnauthenticatedError(f"{place} has a blank before or behind the secret; take it away")
    return text.decode("ascii")


def _unreadable(place: Place, error: OSError) -> UnauthenticatedError:
    reason = (error.strerror or "no reason given").lower()
    return UnauthenticatedError(f"{place} cannot be read ({reason}); make it a file that this agent, or root, can read")
