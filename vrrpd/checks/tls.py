"""Whom a check trusts: the certificate of a server is verified, always, and what is wrong with it is said plainly.

The trusted certificates are the system's, or those of one file. They are read once, in a worker thread, because the
system's 150 take 20 ms; a file that cannot be read is tried again by the next probe.

There is no switch that turns verification off. A certificate that nobody signed vouches for itself when its own file is
the `ca`, and a server that is probed by its address is verified by the name that `host` gives.
"""

from __future__ import annotations

import os
import ssl

import trio

from vrrpd.errands import CannotStartError, Programs

_LIMIT = 4 << 20  # bytes that are read of a file of certificates; the system's have a quarter of a megabyte


class TrustError(Exception):
    """The trusted certificates cannot be read; the text says why."""


class Trust:
    """The certificates that a check trusts."""

    def __init__(self, ca: str | None, programs: Programs) -> None:
        """Name the certificates; nothing is read yet.

        Args:
            ca: path of a file of certificates in PEM form; None for those of the system.
            programs: opens the file where only root may read it.
        """
        self._ca = ca
        self._programs = programs
        self._context: ssl.SSLContext | None = None
        self._reading = trio.CapacityLimiter(1)  # a file that hangs keeps nobody else from a thread

    async def load(self) -> None:
        """Read the certificates, unless that has been done.

        Raises:
            TrustError: they cannot be read.
        """
        if self._context is None:
            try:
                self._context = await self._read()
            except TrustError as error:
                if self._ca is None or not isinstance(error.__cause__, PermissionError):
                    raise
                self._context = await self._read(await self._open(self._ca))

    async def _read(self, opened: int | None = None) -> ssl.SSLContext:
        read = trio.to_thread.run_sync
        return await read(read_trusted, self._ca, opened, abandon_on_cancel=True, limiter=self._reading)

    async def _open(self, ca: str) -> int:
        """The file, opened by somebody who may."""
        try:
            return await self._programs.open(ca)
        except CannotStartError as error:
            raise TrustError(f"cannot read the certificates of {ca}: {error}") from error

    def secured(self, transport: trio.SocketStream, name: str) -> trio.SSLStream[trio.SocketStream]:
        """A stream of TLS over another stream, once the certificates are loaded; closing the lower one closes it.

        The handshake, and with it the verification, happens when the stream is first used.

        Args:
            transport: an open connection.
            name: the name or address that the server must prove to have.
        """
        assert self._context is not None, "load comes first"
        return trio.SSLStream(transport, self._context, server_hostname=name, https_compatible=True)


def read_trusted(ca: str | None, opened: int | None = None) -> ssl.SSLContext:
    """Read the trusted certificates; blocks for as long as that takes.

    Args:
        ca: path of a file of certificates; None for those of the system.
        opened: the file, where this process may not open it; closed at the end.

    Raises:
        TrustError: the file is not there, may not be read, or holds no certificate.
    """
    system = ssl.get_default_verify_paths()
    try:
        if opened is not None:
            with open(opened, "rb") as file:  # noqa: PTH123 - a descriptor
                return ssl.create_default_context(cadata=file.read(_LIMIT).decode("ascii", "ignore"))
        # The paths of the system are named, because Python lets no other thread run while it reads them by itself.
        return ssl.create_default_context(cafile=ca or system.cafile, capath=None if ca else system.capath)
    except ssl.SSLError as error:
        raise TrustError(
            f"{ca or system.cafile} holds no certificate that can be read; it must be in PEM form"
        ) from error
    except OSError as error:
        cause = os.strerror(error.errno).lower() if error.errno else str(error)
        raise TrustError(f"cannot read the certificates of {ca or system.cafile}: {cause}") from error


def refusal(error: BaseException | None) -> str | None:
    """Why TLS failed, in plain words, where the cause of a broken stream is TLS at all."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate is refused: {error.verify_message.rstrip('.')}"
    if isinstance(error, ssl.SSLEOFError):
        return "the connection was cut during the TLS handshake"
    if isinstance(error, ssl.SSLError):
        return f"no TLS: {(error.reason or str(error)).replace('_', ' ').lower()}"
    return None
