#!/usr/bin/env bash
# Two web servers, three nodes with HAProxy, one address: the proxy dies, a cable is pulled, all comes back.
# Installs what it needs first. Run as root; leaves no network namespace, process or address behind.
set -euo pipefail

case "${1:-}" in
    -h | --help)
        echo "Usage: netns-lab/demo.sh [--agent vrrpd|keepalived]"
        exit 0
        ;;
esac
[ "$(id -u)" -eq 0 ] || { echo "demo: the lab makes network namespaces and needs root; run it with sudo" >&2; exit 2; }
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
"$here/install.sh" runtime
exec "$here/../.venv/bin/netns-lab" demo "$@"
