"""Kinds of checks and files for the tests of the configuration."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter
from pydantic_core import PydanticCustomError

from vrrpd.config import File, Kinds, read
from vrrpd.config.scalars import own_address
from vrrpd.movers.base import CommonOptions, Kind
from vrrpd.proto.settings import Address


class Http(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str
    expect: int | list[int] = 200


class Choice(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str


def _worded(value: str) -> str:
    raise PydanticCustomError("own", "{value} is odd; write even", {"value": value})


def _raised(_value: str) -> str:
    raise ValueError("it is odd")


class Ip(CommonOptions):
    id: str
    card: dict[str, str] = Field(default_factory=dict)
    alone: str = ""
    address: Annotated[Address | None, own_address()] = None
    token: int = 0


def _names(options: Ip) -> dict[str, list[str]]:
    named = {"card": list(options.card), "alone": [""] if options.alone else []}
    return {option: names for option, names in named.items() if names}


@dataclass
class Validates:
    """A kind of check."""

    options: TypeAdapter[Any]


class _Movers(Mapping[str, Kind]):
    """Two kinds of movers, and one that must not be imported unless a file names it."""

    _kinds: Mapping[str, Kind] = {
        "ip": Kind(
            TypeAdapter(Ip),
            build=lambda options, host: pytest.fail(f"nobody builds {options} on {host}"),
            names=_names,
            addresses=lambda options: [options.address] if options.address else [],
            things=lambda options: [f"the address {options.id}"],
        ),
        "plain": Kind(TypeAdapter(CommonOptions), build=lambda options, host: pytest.fail(f"{options} {host}")),
    }

    def __getitem__(self, name: str) -> Kind:
        return self._kinds[name]

    def __contains__(self, name: object) -> bool:
        return name in (*self._kinds, "heavy")

    def __iter__(self) -> Iterator[str]:
        return iter((*self._kinds, "heavy"))

    def __len__(self) -> int:
        return len(self._kinds) + 1


@pytest.fixture(scope="session")
def kinds() -> Kinds:
    """Three kinds as real ones are, and one for each way in which a validator may complain; movers see `_Movers`."""
    checks: dict[str, TypeAdapter[Any]] = {
        "http": TypeAdapter(Http),
        "tcp": TypeAdapter(str),
        "file": TypeAdapter(str),
        "odd": TypeAdapter(Annotated[bytes, Field(min_length=2)]),
        "worded": TypeAdapter(Annotated[str, AfterValidator(_worded)]),
        "raised": TypeAdapter(Annotated[str, AfterValidator(_raised)]),
        "choice": TypeAdapter(str | Choice),
        "list": TypeAdapter(list[str]),
    }
    return Kinds({name: Validates(options) for name, options in checks.items()}, _Movers())


@pytest.fixture
def file_of(tmp_path: Path, kinds: Kinds) -> Callable[[str | bytes], File]:
    """Read a file with the given content."""

    def read_text(content: str | bytes) -> File:
        path = tmp_path / "vrrpd.yaml"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return read(str(path), kinds)

    return read_text
