"""The service behind the shared address: real HAProxy on every node, web servers behind it.

The proxy listens on every address, so that it needs not care which node has the shared one, and names itself in the
header `X-Node`. It runs in one process in the foreground; its process id is in `proxy.pid` in the node's directory, for
agents that want a file.
"""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterable, Mapping

from netns_lab import helper, kernel
from netns_lab.errors import CannotRunError
from netns_lab.node import Node, wait_until
from netns_lab.service import PROXY

_CONFIGURATION = """\
global
    maxconn 4000
    nbthread 1

defaults
    mode http
    timeout connect 500ms
    timeout client 5s
    timeout server 5s
    timeout http-keep-alive 1s
    retries 2
    option redispatch

frontend web
    bind :::80 v4v6
    http-response set-header X-Node {node}
    default_backend webs

backend webs
    balance roundrobin
    http-reuse always
{servers}
"""


def configuration(node: str, webs: Mapping[str, str]) -> str:
    """The proxy's configuration file.

    Args:
        node: what it calls itself.
        webs: name -> address of the back ends.
    """
    servers = [f"    server {name} {address}:80 check inter 500ms" for name, address in webs.items()]
    return _CONFIGURATION.format(node=node, servers="\n".join(servers))


def require() -> None:
    """Refuse early where there is no HAProxy.

    Raises:
        CannotRunError: it is not installed.
    """
    if not shutil.which(PROXY):
        raise CannotRunError("the lab's proxies need HAProxy; apt-get install haproxy")


def start_proxy(node: Node, webs: Iterable[Node]) -> None:
    """Start the proxy of a node and wait until it accepts connections."""
    file = node.directory / "haproxy.cfg"
    file.write_text(configuration(node.name, {web.name: web.host.ipv4 for web in webs}))
    process = node.start("proxy", [PROXY, "-db", "-f", str(file)])
    (node.directory / "proxy.pid").write_text(f"{process.pid}\n")
    wait_until(lambda: _accepts(node), 5, f"the proxy of {node.name}; see {process.log}")


def start_web(node: Node) -> None:
    """Start a web server and wait until it accepts connections."""
    process = node.start("web", helper.command("web", node.name), environment=helper.environment())
    wait_until(lambda: _accepts(node), 5, f"the web server {node.name}; see {process.log}")


def _accepts(node: Node) -> bool:
    """Whether something listens on port 80 inside the node."""

    def connect() -> bool:
        try:
            socket.create_connection(("127.0.0.1", 80), timeout=1).close()
        except OSError:
            return False
        return True

    return kernel.inside(node.namespace, connect)
