"""Keys and passwords as the file writes them; what is wrong with one is said without showing it.

Owns the three spellings of a key (`hex:...`, plain text, `file:PATH`), its length, and the reading of key files. A
`KeyText` is what was written; it becomes a `Secret` where the node runs, since another node's files are not here.

Sources: keepalived's `auth_hmac` (keys of 32..64 bytes), RFC 2338 5.3.6.2 (eight bytes of password).
"""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass

from vrrpd.config.scalars import Scalar
from vrrpd.config.words import plain_error
from vrrpd.proto.credentials import Secret

SHORTEST, LONGEST = 32, 64
_HEX, _FILE = "hex:", "file:"
_LENGTHS = f"write {SHORTEST}..{LONGEST} bytes, such as hex: and the output of: openssl rand -hex 32"


@dataclass(frozen=True, slots=True)
class KeyText:
    """A key as it was written: the secret itself, or the path of the file that holds it."""

    secret: Secret | None = None
    path: str | None = None


@dataclass(frozen=True, slots=True)
class KeyFile:
    """What a key file gave.

    Attributes:
        secret: the key, None where it cannot be used.
        wrong: why not, `what is wrong; what would be right`.
        odd: what should be mended although it can.
    """

    secret: Secret | None
    wrong: str | None = None
    odd: str | None = None


def key() -> Scalar:
    """A key for an HMAC."""

    def read(text: str) -> KeyText:
        if text.startswith(_FILE):
            path = text.removeprefix(_FILE)
            if not path.startswith("/") or path.endswith("/") or not path.isprintable():
                raise plain_error("'file:' is not followed by the absolute path of a file", "write file:/path/of/it")
            return KeyText(path=path)
        try:
            return KeyText(_key(text.encode()))
        except ValueError as error:
            raise plain_error(str(error), _LENGTHS) from None

    return Scalar(read, "file:/etc/vrrpd/vrrp.key", {"type": "string"})


def key_id() -> Scalar:
    """The number of a key on the wire; written in one way, so that no two spellings mean the same."""

    def read(text: str) -> int:
        if not re.fullmatch("[1-9][0-9]{0,2}", text) or int(text) > 255:
            raise plain_error("this is no id of a key", "write 1..255")
        return int(text)

    return Scalar(read, "1", {"anyOf": [{"type": "integer", "minimum": 1, "maximum": 255}, {"type": "string"}]})


def password() -> Scalar:
    """The password of version 2, which goes over the wire as it is."""

    def read(text: str) -> Secret:
        if not text.isascii() or not text.isprintable() or len(text) > 8:
            raise plain_error("this password does not fit into a packet", "write 1..8 printable ASCII characters")
        return Secret(text.encode())

    return Scalar(read, "old-peer", {"type": "string", "minLength": 1, "maxLength": 8})


def read_key_file(path: str) -> KeyFile:
    """Read a key from a file: text as in the configuration, or raw bytes; one line end behind a text is no part of it.

    A file of another kind than a regular one is refused without waiting for it.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            mode = os.fstat(descriptor).st_mode
            data = os.read(descriptor, 4 * LONGEST) if stat.S_ISREG(mode) else b""
        finally:
            os.close(descriptor)
    except OSError as error:
        reason = error.strerror or "no reason given"
        return KeyFile(None, f"the key file {path} cannot be read ({reason}); make it readable for this agent")
    if not stat.S_ISREG(mode):
        return KeyFile(None, f"the key file {path} is no regular file; name one")
    text = data.removesuffix(b"\n").removesuffix(b"\r")
    is_text = text.isascii() and text.decode("ascii").isprintable()
    try:
        secret = _key(text) if is_text else _measured(data)
    except ValueError as error:
        return KeyFile(None, f"in the key file {path}: {error}; {_LENGTHS}")
    others = "its group" if mode & stat.S_IRGRP else None
    others = "everybody" if mode & stat.S_IROTH else others
    right = f"take that right away: chmod 0600 {path}"
    return KeyFile(secret, odd=f"the key file {path} can be read by {others}; {right}" if others else None)


def _key(text: bytes) -> Secret:
    """A key in the form of a text.

    Raises:
        ValueError: what is wrong, without the text.
    """
    if not text.startswith(_HEX.encode()):
        if not (text.isascii() and text.decode("ascii").isprintable()):
            raise ValueError("a key in plain text has printable ASCII characters only")
        return _measured(text)
    digits = text.removeprefix(_HEX.encode())
    if len(digits) % 2 or not re.fullmatch(b"[0-9A-Fa-f]*", digits):
        raise ValueError("'hex:' is not followed by pairs of hexadecimal digits")
    return _measured(bytes.fromhex(digits.decode()))


def _measured(value: bytes) -> Secret:
    if not SHORTEST <= len(value) <= LONGEST:
        raise ValueError(f"a key of {'more' if len(value) > LONGEST else 'fewer'} bytes than it may have")
    return Secret(value)
