#!/usr/bin/env bash
# Installs what the lab (runtime) or the tests (test) need: Debian packages, and .venv at the top of the repository.
# Quick when all is there already. May be run from any directory.
set -euo pipefail

usage() {
    cat <<'USAGE'
Usage: netns-lab/install.sh [runtime|test]

  runtime   what netns-lab and its demonstration need: HAProxy, Python packages (the default)
  test      that, and what tests/run.sh needs: keepalived, FRR, tshark, tools for tests and checks

Needs root, a Debian or Ubuntu with Python 3.11 or newer, and its package sources.
USAGE
}

kind="${1:-runtime}"
case "$kind" in
    -h | --help) usage; exit 0 ;;
    runtime | test) ;;
    *) usage >&2; exit 2 ;;
esac
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { printf 'install: %s\n' "$*"; }
fail() { printf 'install: %s\n' "$*" >&2; exit 2; }

# Debian's own services must not start here: the lab runs each program itself, inside its namespaces.
policy=/usr/sbin/policy-rc.d
hold_services() {
    [ -e "$policy" ] && return
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod +x "$policy"
    trap 'rm -f "$policy"' EXIT
}

# command:package, so that nothing is asked of apt where everything is there.
needs=(ip:iproute2 haproxy:haproxy)
[ "$kind" = runtime ] || needs+=(keepalived:keepalived vtysh:frr tshark:tshark nft:nftables pgrep:procps openssl:openssl)
[ "$kind" = runtime ] || needs+=(strace:strace valgrind:valgrind)

install_packages() {
    local packages=() need
    for need in "${needs[@]}"; do
        PATH="$PATH:/usr/sbin:/sbin" command -v "${need%%:*}" >/dev/null || packages+=("${need#*:}")
    done
    [ ${#packages[@]} -eq 0 ] && [ $# -eq 0 ] && return
    packages+=("$@")
    [ "$(id -u)" -eq 0 ] || fail "root is needed to install ${packages[*]}"
    say "apt-get install ${packages[*]}"
    hold_services
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    apt-get install -qq -y --no-install-recommends "${packages[@]}" >/dev/null
}

find_python() {
    local candidate
    for candidate in python3.11 python3 python3.12 python3.13 python3.14; do
        if command -v "$candidate" >/dev/null &&
            "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    fail "Python 3.11 or newer is needed"
}

install_venv() {
    local python stamp wanted group
    group=$([ "$kind" = test ] && echo dev || echo runtime)
    wanted=$(sha256sum pyproject.toml | cut -d' ' -f1)
    for stamp in .venv/.installed-dev ".venv/.installed-$group"; do
        if [ -e "$stamp" ] && [ "$(cat "$stamp")" = "$wanted $PWD" ]; then
            return
        fi
    done
    if ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
        python=$(find_python)
        # Debian keeps this part of Python in a package of its own.
        "$python" -c 'import ensurepip' 2>/dev/null || install_packages python3-venv
        say "making .venv with $("$python" --version)"
        "$python" -m venv --clear .venv
    fi
    say "installing Python packages (group $group)"
    .venv/bin/python -m pip install -q --disable-pip-version-check pip==26.1
    .venv/bin/python -m pip install -q --disable-pip-version-check --group "$group" -e '.[lab]'
    .venv/bin/python -m compileall -q vrrpd netns-lab/netns_lab
    rm -f .venv/.installed-*
    printf '%s\n' "$wanted $PWD" >".venv/.installed-$group"
}

install_packages
install_venv
say "ready ($kind)"
