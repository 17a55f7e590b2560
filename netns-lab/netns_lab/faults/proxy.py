"""What happens to a proxy while its node and its agent live on: it dies, hangs, is reloaded, is restarted."""

from __future__ import annotations

import signal
from typing import ClassVar

from netns_lab.lab import Lab
from netns_lab.proxies import change_certificate, proxy_of, reload_proxy, run_proxy


class ProxyKilled:
    """Kills a node's proxy: connections are reset, new ones refused."""

    kind: ClassVar[str] = "proxy-killed"
    summary: ClassVar[str] = "the node's proxy is killed (SIGKILL)"
    cuts: ClassVar[bool] = False

    def inject(self, lab: Lab, node: str) -> None:
        """Kill it."""
        process = proxy_of(lab.node(node))
        process.signal(signal.SIGKILL, group=True)
        process.wait(5)

    def heal(self, lab: Lab, node: str) -> None:
        """Start it again."""
        lab.start_proxy(node)


class ProxyFrozen:
    """Stops a node's proxy in its tracks: the kernel still accepts connections for it, and nobody ever answers."""

    kind: ClassVar[str] = "proxy-frozen"
    summary: ClassVar[str] = "the node's proxy hangs (SIGSTOP): it accepts, and never answers"
    cuts: ClassVar[bool] = False

    def inject(self, lab: Lab, node: str) -> None:
        """Freeze it."""
        proxy_of(lab.node(node)).signal(signal.SIGSTOP)

    def heal(self, lab: Lab, node: str) -> None:
        """Let it go on."""
        proxy_of(lab.node(node)).signal(signal.SIGCONT)


class ProxyReloaded:
    """Reloads a node's proxy: a new process takes over the sockets, the old one finishes."""

    kind: ClassVar[str] = "proxy-reloaded"
    summary: ClassVar[str] = "the node's proxy is reloaded (haproxy -sf)"
    cuts: ClassVar[bool] = False

    def inject(self, lab: Lab, node: str) -> None:
        """Reload it."""
        reload_proxy(lab.node(node))

    def heal(self, lab: Lab, node: str) -> None:
        """Nothing is left to undo."""


class ProxyRestarted:
    """Kills a node's proxy and starts it again at once, as a service manager does."""

    kind: ClassVar[str] = "proxy-restarted"
    summary: ClassVar[str] = "the node's proxy is killed (SIGKILL) and started again at once"
    cuts: ClassVar[bool] = False

    def inject(self, lab: Lab, node: str) -> None:
        """Restart it."""
        process = proxy_of(lab.node(node))
        process.signal(signal.SIGKILL, group=True)
        process.wait(5)
        run_proxy(lab.node(node))

    def heal(self, lab: Lab, node: str) -> None:
        """Nothing is left to undo."""


class CertificateWrong:
    """Gives a node's proxy a certificate that its clients do not trust, as a renewal that went wrong does."""

    kind: ClassVar[str] = "certificate-wrong"
    summary: ClassVar[str] = "the node's proxy shows a certificate that nobody trusts"
    cuts: ClassVar[bool] = False

    def inject(self, lab: Lab, node: str) -> None:
        """Change it."""
        change_certificate(lab.node(node))

    def heal(self, lab: Lab, node: str) -> None:
        """Make another one, which is trusted."""
        proxy_of(lab.node(node)).signal(signal.SIGKILL, group=True)
        lab.start_proxy(node)
