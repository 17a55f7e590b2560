#!/usr/bin/env bash
# Installs what is needed and runs every check that CI runs.
set -euo pipefail
cd "$(dirname "$0")/.."

usage() {
    cat <<'EOF'
Usage: tests/run.sh [--help] [PART ...]

Runs every part, or those that are named, in this order:
  lint    ruff, pyright (strict), import contracts
  unit    tests that need no network namespace
  netns   tests in network namespaces, with real keepalived, FRR and HAProxy (root)

Examples:
  tests/run.sh              all of it, as CI does
  tests/run.sh lint unit    quick, after an edit
EOF
}

lint() {
    .venv/bin/ruff check
    .venv/bin/ruff format --check
    .venv/bin/pyright
    .venv/bin/lint-imports
}

unit() {
    .venv/bin/pytest -n 2 -m "not netns"
}

netns() {
    .venv/bin/pytest -n 4 -m netns
}

parts=()
for argument in "$@"; do
    case "$argument" in
        -h | --help) usage; exit 0 ;;
        lint | unit | netns) parts+=("$argument") ;;
        *) echo "tests/run.sh: no part is called $argument" >&2; usage >&2; exit 2 ;;
    esac
done
[ ${#parts[@]} -gt 0 ] || parts=(lint unit netns)

netns-lab/install.sh test
for part in "${parts[@]}"; do
    printf '\n== %s\n' "$part"
    "$part"
done
printf '\nall good: %s\n' "${parts[*]}"
