# Shared by the scripts: messages, and what a machine needs before cargo can work. Sourced, not run.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
program=$(basename "$0")

say() { printf '%s: %s\n' "$program" "$1" >&2; }
fail() { printf '%s: %s\n' "$program" "$1" >&2; exit 1; }

# Installs the Debian package $2 when the command $1 is missing.
need() {
    command -v "$1" >/dev/null 2>&1 && return
    [ "$(id -u)" = 0 ] || fail "$1 is missing and only root may install it: run 'apt-get install $2' first"
    say "installing $2"
    { apt-get update -qq && apt-get install -y -qq "$2"; } >&2 || fail "apt-get could not install $2"
}

# Makes sure that cargo of the version in Cargo.toml runs, with the components $@.
need_cargo() {
    local wanted home
    wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
    export PATH="$PATH:$HOME/.cargo/bin:/usr/local/cargo/bin"
    if ! cargo --version >/dev/null 2>&1; then
        # HOME may point to an empty directory while the toolchain is in the one that the account has.
        home=$(getent passwd "$(id -u)" | cut -d: -f6)
        export PATH="$PATH:$home/.cargo/bin"
        if [ -d "$home/.rustup" ]; then export RUSTUP_HOME="${RUSTUP_HOME:-$home/.rustup}"; fi
    fi
    if ! cargo --version >/dev/null 2>&1; then
        need rustup rustup
        say "installing Rust $wanted"
        rustup toolchain install "$wanted" --profile minimal >&2 || fail "rustup could not install Rust $wanted"
        rustup default "$wanted" >&2
    fi
    need cc gcc
    for component in "$@"; do
        cargo "${component/rustfmt/fmt}" --version >/dev/null 2>&1 && continue
        say "installing $component"
        rustup component add "$component" >&2 || fail "rustup could not add $component: 'rustup component add $component' says why"
    done
}
