"""Where a secret comes from, and that nobody sees it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pydantic import BaseModel, ValidationError

from tests.movers.fakes.harness import Opener
from vrrpd.movers.base import UnauthenticatedError
from vrrpd.movers.secrets import Place, SecretPlace, errands, inspect, read
from vrrpd.rights import account, acting_as

NOBODY = Opener({})


class Options(BaseModel):
    token: SecretPlace


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("file:/etc/vrrpd/token", Place("file", "/etc/vrrpd/token")),
        ("file:/etc/with space/token", Place("file", "/etc/with space/token")),
        ("env:HCLOUD_TOKEN", Place("env", "HCLOUD_TOKEN")),
        ("credential:hcloud.token", Place("credential", "hcloud.token")),
    ],
)
def test_a_place_has_three_spellings(text: str, place: Place) -> None:
    assert Options(token=text).token == place  # pyright: ignore[reportArgumentType] - as the file has it
    assert str(place) == text


@pytest.mark.parametrize(
    "text",
    [
        "s3cr3t",
        "file:s3cr3t",
        "file:/s3cr3t/",
        "file:/s3cr3t\n",
        "env:s3cr3t-1",
        "env:",
        "credential:a/s3cr3t",
        "FILE:/s3cr3t",
    ],
)
def test_what_is_no_place_is_refused_and_not_shown(text: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Options(token=text)  # pyright: ignore[reportArgumentType] - as the file has it
    [error] = caught.value.errors(include_input=False)
    assert "s3cr3t" not in error["msg"]
    assert error["msg"].endswith("the secret itself has no place in this file")


@pytest.mark.parametrize("content", ["s3cr3t", "s3cr3t\n", "s3cr3t\r\n"])
async def test_a_file_is_read_without_its_line_end(content: str, tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_bytes(content.encode())
    assert await read(Place("file", str(path)), NOBODY) == "s3cr3t"


async def test_a_variable_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HCLOUD_TOKEN", "s3cr3t")
    assert await read(Place("env", "HCLOUD_TOKEN"), NOBODY) == "s3cr3t"


async def test_a_credential_of_the_service_manager_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "hcloud").write_text("s3cr3t\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    place = Place("credential", "hcloud")
    assert await read(place, NOBODY) == "s3cr3t"
    assert errands((place,)) == [{"open": f"{tmp_path}/hcloud"}]


async def test_a_credential_without_a_service_manager_says_what_to_write(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    with pytest.raises(UnauthenticatedError, match="LoadCredential=hcloud:/path"):
        await read(Place("credential", "hcloud"), NOBODY)
    assert errands((Place("credential", "hcloud"), Place("env", "A"))) == []


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"s3cr3t\nmore", "no secret of one line"),
        (b"s3cr3t \xc3\xa4", "no secret of one line"),
        (b"s3cr3t" * 20000, "no secret of one line"),
        (b"s3cr3t \n", "has a blank before or behind the secret; take it away"),
        (b" s3cr3t", "has a blank before or behind the secret; take it away"),
    ],
)
async def test_a_file_that_holds_no_secret_is_named_and_its_content_is_not_shown(
    content: bytes, said: str, tmp_path: Path
) -> None:
    path = tmp_path / "token"
    path.write_bytes(content)
    with pytest.raises(UnauthenticatedError, match=f"file:{path} .*{said}") as caught:
        await read(Place("file", str(path)), NOBODY)
    assert "s3cr3t" not in str(caught.value)


async def test_an_empty_variable_is_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HCLOUD_TOKEN", raising=False)
    with pytest.raises(UnauthenticatedError, match="env:HCLOUD_TOKEN is empty; put the secret there"):
        await read(Place("env", "HCLOUD_TOKEN"), NOBODY)


async def test_a_file_that_is_not_there_and_one_that_is_none_are_named(tmp_path: Path) -> None:
    with pytest.raises(UnauthenticatedError, match=r"no such file or directory\); make it a file"):
        await read(Place("file", str(tmp_path / "none")), NOBODY)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UnauthenticatedError, match="no regular file"):
        await read(Place("file", str(tmp_path / "pipe")), NOBODY)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can keep a file from others")
async def test_a_file_that_only_root_may_read_is_opened_by_who_may(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("s3cr3t\n")
    path.chmod(0o600)
    opened = os.open(path, os.O_RDONLY)
    with acting_as(account("nobody", by_root=True), 0):
        assert await read(Place("file", str(path)), Opener({str(path): opened})) == "s3cr3t"
        with pytest.raises(UnauthenticatedError, match="permission denied"):
            await read(Place("file", str(path)), NOBODY)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can keep a file from others")
async def test_what_was_opened_and_is_no_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "token"
    opened = os.open(tmp_path, os.O_RDONLY)
    path.touch(0o000)
    nobody = account("nobody", by_root=True)
    with acting_as(nobody, 0), pytest.raises(UnauthenticatedError, match="no regular file"):
        await read(Place("file", str(path)), Opener({str(path): opened}))


def test_this_host_is_looked_at_for_files_only(tmp_path: Path) -> None:
    places = (Place("env", "NOT_SET"), Place("credential", "none"))
    assert inspect(places) is None
    assert "no such file" in str(inspect((*places, Place("file", str(tmp_path / "none")))))
    (tmp_path / "there").write_text("s3cr3t")
    assert inspect((Place("file", str(tmp_path / "there")),)) is None
