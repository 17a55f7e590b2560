"""Kinds of checks and files for the tests of the configuration."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import pytest
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter
from pydantic_core import PydanticCustomError

from vrrpd.config import CheckKinds, File, read


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


@pytest.fixture(scope="session")
def kinds() -> CheckKinds:
    """Three kinds as real ones are, and one for each way in which a validator may complain."""
    return {
        "http": TypeAdapter(Http),
        "tcp": TypeAdapter(str),
        "file": TypeAdapter(str),
        "odd": TypeAdapter(Annotated[bytes, Field(min_length=2)]),
        "worded": TypeAdapter(Annotated[str, AfterValidator(_worded)]),
        "raised": TypeAdapter(Annotated[str, AfterValidator(_raised)]),
        "choice": TypeAdapter(str | Choice),
        "list": TypeAdapter(list[str]),
    }


@pytest.fixture
def file_of(tmp_path: Path, kinds: CheckKinds) -> Callable[[str | bytes], File]:
    """Read a file with the given content."""

    def read_text(content: str | bytes) -> File:
        path = tmp_path / "vrrpd.yaml"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return read(str(path), kinds)

    return read_text
