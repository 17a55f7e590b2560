"""The service behind the shared address: real HAProxy on every node, web servers behind it.

The proxy listens on every address, so that it needs not care which node has the shared one, and names itself in the
header `X-Node`. Health checks find what they look for in production as well: `/healthz` on port 8404, the runtime API
on the socket `haproxy.sock`, the process id in `proxy.pid`, both in the node's directory. It runs in one process in the
foreground. A back end is down for it after two health checks, 400 ms, and a request that cannot be delivered to one
goes to the other.

Where the lab's proxies speak https (port 443) each has a certificate of its own, for 127.0.0.1, signed by nobody but
itself; `trusted.pem` is the copy that checks are told to trust.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Iterable, Mapping

from netns_lab import helper, kernel
from netns_lab.errors import CannotRunError, LabError
from netns_lab.node import HERE, Node, Process, wait_until
from netns_lab.service import PROXY

SOCKET = HERE / "haproxy.sock"
"""The runtime API, as the programs of the same node find it."""

_CERTIFICATE = HERE / "proxy.pem"
_CONFIGURATION = """\
global
    maxconn 4000
    nbthread 1
    stats socket {socket} mode 666 level admin expose-fd listeners

defaults
    mode http
    timeout connect 500ms
    timeout client 5s
    timeout server 5s
    timeout http-keep-alive 1s
    retries 2
    option redispatch 1

frontend web
    bind :::80 v4v6
{https}
    http-response set-header X-Node {node}
    default_backend webs

frontend health
    bind :::8404 v4v6
    monitor-uri /healthz

backend webs
    balance roundrobin
    http-reuse always
    option httpchk GET /
{servers}
"""
_OPENSSL = ("openssl", "req", "-x509", "-nodes", "-days", "2", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256")


def configuration(node: str, webs: Mapping[str, str], *, tls: bool = False) -> str:
    """The proxy's configuration file.

    Args:
        node: what it calls itself.
        webs: name -> address of the back ends.
        tls: it speaks https as well.
    """
    servers = [f"    server {name} {address}:80 check inter 200ms fall 2 rise 2" for name, address in webs.items()]
    https = f"    bind :::443 v4v6 ssl crt {_CERTIFICATE}" if tls else ""
    return _CONFIGURATION.format(node=node, socket=SOCKET, https=https, servers="\n".join(servers))


def require(*, tls: bool) -> None:
    """Refuse early where a program is missing.

    Raises:
        CannotRunError: it is not installed.
    """
    if not shutil.which(PROXY):
        raise CannotRunError("the lab's proxies need HAProxy; apt-get install haproxy")
    if tls and not shutil.which(_OPENSSL[0]):
        raise CannotRunError("proxies that speak https need openssl; apt-get install openssl")


def start_proxy(node: Node, webs: Iterable[Node], *, tls: bool = False) -> None:
    """Start the proxy of a node and wait until it accepts connections."""
    if tls:
        text = _new_certificate(node.name)
        (node.directory / _CERTIFICATE.name).write_text(text)
        (node.directory / "trusted.pem").write_text(text[text.index("-----BEGIN CERTIFICATE") :])
    file = configuration(node.name, {web.name: web.host.ipv4 for web in webs}, tls=tls)
    (node.directory / "haproxy.cfg").write_text(file)
    run_proxy(node)


def change_certificate(node: Node) -> None:
    """Give the proxy of a node a certificate that nobody trusts, and reload it."""
    (node.directory / _CERTIFICATE.name).write_text(_new_certificate(node.name))
    reload_proxy(node)


def _new_certificate(name: str) -> str:
    """A private key and a certificate for 127.0.0.1, as PEM.

    Raises:
        LabError: openssl failed.
    """
    names = ("-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1")
    done = subprocess.run([*_OPENSSL, *names, "-keyout", "-"], capture_output=True, text=True, check=False)
    if done.returncode:
        raise LabError(f"openssl: {done.stderr.strip()}")
    return done.stdout


def run_proxy(node: Node, *options: str) -> None:
    """Start HAProxy with the configuration that the node has, and wait until it accepts connections.

    Args:
        node: where.
        options: more for its command line.
    """
    process = node.start("proxy", [PROXY, "-db", "-f", str(HERE / "haproxy.cfg"), *options])
    (node.directory / "proxy.pid").write_text(f"{process.pid}\n")
    wait_until(lambda: _accepts(node), 5, f"the proxy of {node.name}; see {process.log}")


def reload_proxy(node: Node) -> None:
    """Reload it as its manual says: a new process takes the listening sockets over and tells the old one to finish."""
    old = proxy_of(node)
    run_proxy(node, "-x", str(SOCKET), "-sf", str(old.pid))


def proxy_of(node: Node) -> Process:
    """The process of a node's proxy.

    Raises:
        LabError: the lab runs no proxies.
    """
    process = node.processes.get("proxy")
    if process is None:
        raise LabError(f"{node.name} runs no proxy; the lab was made without web servers")
    return process


def start_web(node: Node, service_time_ms: int = 0) -> None:
    """Start a web server and wait until it accepts connections.

    Args:
        node: where.
        service_time_ms: how long it takes for an answer.
    """
    arguments = helper.command("web", node.name, str(service_time_ms))
    process = node.start("web", arguments, environment=helper.environment())
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
