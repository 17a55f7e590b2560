"""Mistakes in the authentication of one router.

Owns what `auth` means together with the rest of the router. No sentence here shows more of a key than its id.

Sources: keepalived's rules for `auth_hmac`; RFC 9568 section 9 (version 3 has no authentication of its own).
"""

from __future__ import annotations

from vrrpd.config.file import Report
from vrrpd.config.model import HmacKeys
from vrrpd.config.routers import Router
from vrrpd.config.tree import Path
from vrrpd.config.words import listed
from vrrpd.proto.credentials import AntiReplay, Mode


def lint_auth(report: Report, router: Router) -> None:
    """Judge the authentication of a router."""
    auth, path = router.keys.auth, router.path("auth")
    if auth is None:
        return
    if auth.hmac is not None and auth.password is not None:
        report.wrong(path, "'hmac' and 'password' exclude each other", "keep 'hmac'", key=True)
    elif auth.hmac is None and auth.password is None and router.sound("auth"):
        report.wrong(path, "'auth' says nothing", "write 'hmac' with 'keys', or remove it", key=True)
    if auth.password is not None and router.sound("version"):
        _lint_password(report, router, (*path, "password"))
    if auth.hmac is not None:
        _lint_hmac(report, router, auth.hmac, (*path, "hmac"))


def _lint_password(report: Report, router: Router, path: Path) -> None:
    if router.keys.version == 3:
        report.wrong(
            path, "version 3 has no passwords", "write 'hmac', or 'version: 2' beside peers that ask for one", key=True
        )
    else:
        report.odd(
            path,
            "a password goes over the network in clear text and protects nothing",
            "write 'hmac' where all nodes know it",
            key=True,
        )


def _lint_hmac(report: Report, router: Router, hmac: HmacKeys, path: Path) -> None:
    if not hmac.keys:
        if router.sound("auth"):
            right = "add 'keys', such as {1: file:/etc/vrrpd/vrrp.key}"
            report.wrong(path, "there are no keys, so nothing could be signed", right, key=True)
        return
    if hmac.active_key is None:
        if len(hmac.keys) > 1 and router.sound("auth"):
            what = f"there are the keys {listed(hmac.keys)}, and nothing says which signs"
            report.wrong(path, what, "add 'active_key'", key=True)
    elif hmac.active_key not in hmac.keys and router.sound("auth"):
        known = f"write {listed(hmac.keys, 'or')}, or add the key"
        report.wrong((*path, "active_key"), "this is none of the keys", known)
    if hmac.time_window is not None and hmac.anti_replay is AntiReplay.MONOTONIC:
        report.odd((*path, "time_window"), "the window is never used, since 'anti_replay' is monotonic", "remove it")
    if hmac.mode is not Mode.ENFORCE:
        report.odd(
            (*path, "mode"),
            "unsigned advertisements are accepted, so nothing is protected yet",
            "write enforce once 'vrrpd auth status' finds nothing unsigned on any node",
        )
