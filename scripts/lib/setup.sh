# shellcheck shell=bash
# What the scripts and .ci/run share: saying what happens, and installing what a build or the tests need.
# Sourced, not run. Everything said goes to stderr, so that stdout belongs to the program.

# The repository's root, whatever directory the script was called from.
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
readonly root

# Every build checks that no target imports one that Package.swift does not give it. One list for all scripts: the same
# options mean that nothing is compiled twice.
# shellcheck disable=SC2034 # used by the scripts that source this file
readonly build_options=(--explicit-target-dependency-import-check error)

say() { printf '==> %s\n' "$*" >&2; }

# Says what is wrong and what to do about it, and ends the script.
fail() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

has_command() { command -v "$1" >/dev/null 2>&1; }

require_swift() {
    has_command swift || fail "swift is not on the PATH; Relay is built with Swift 6.3: https://www.swift.org/install"
}

# Says that a build begins, and how long a first one takes.
announce_build() {
    if [[ -x $(swift build --show-bin-path)/relay ]]; then
        say "building"
    else
        say "building for the first time: about 7 minutes on 2 cores, most of it for the dependencies"
    fi
}

# Installs Debian or Ubuntu packages; elsewhere, or without the right to, says which ones are needed.
install_packages() {
    has_command apt-get || fail "needed, under the names they have on Debian: $*; install them and run this again"
    [[ $(id -u) -eq 0 ]] || has_command sudo || fail "needed: $*; as root: apt-get install $*"
    say "installing $*"
    run_apt update
    run_apt install -y --no-install-recommends "$@"
}

# apt-get as root, without questions.
run_apt() {
    local as_root=()
    [[ $(id -u) -eq 0 ]] || as_root=(sudo)
    # ${as_root[@]+…}: an empty array counts as unset before bash 4.4.
    ${as_root[@]+"${as_root[@]}"} env DEBIAN_FRONTEND=noninteractive \
        apt-get -qq -o DPkg::Lock::Timeout=120 "$@" >&2
}

# Installs the libraries and tools that a build needs, as far as they are missing. A library is there when pkg-config, which the
# package manager asks as well, finds it.
install_build_packages() {
    has_command pkg-config || install_packages pkg-config
    local missing=()
    pkg-config --exists libcrypto || missing+=(libssl-dev)
    pkg-config --exists libcurl || missing+=(libcurl4-openssl-dev)
    pkg-config --exists yaml-0.1 || missing+=(libyaml-dev)
    pkg-config --exists sqlite3 || missing+=(libsqlite3-dev)
    [[ ${#missing[@]} -eq 0 ]] || install_packages "${missing[@]}"
}

# Makes the Python environment of the tests in .build-python (real slack_bolt and slack_sdk apps for the program tests, schemas for
# those of deploy/) and exports RELAY_PYTHON, the path of its python. A RELAY_PYTHON that is already set is taken as it is.
install_python() {
    if [[ -n ${RELAY_PYTHON:-} ]]; then
        say "python for the tests: $RELAY_PYTHON"
        export RELAY_PYTHON
        return
    fi
    export RELAY_PYTHON=$root/.build-python/bin/python
    make_python_environment "$root/.build-python" "the tests" \
        "$root/Tests/RelayProgramTests/Python/requirements.txt" "$root/Tests/DeployTests/requirements.txt"
}

# Makes a Python environment in the directory $1 with what the files after $2 require, unless it is there already. $2: what for.
make_python_environment() {
    local environment=$1 purpose=$2 requirements=("${@:3}")
    local installed=$environment/requirements.txt # a copy of what is installed, written last
    if cat "${requirements[@]}" | cmp -s - "$installed" && "$environment/bin/python" -c '' 2>/dev/null; then
        return
    fi
    # On Debian, venv and ensurepip are packages of their own.
    if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
        install_packages python3 python3-venv
    fi
    say "making the Python environment of $purpose in $environment"
    python3 -m venv --clear "$environment" >&2
    "$environment/bin/python" -m pip install --quiet --disable-pip-version-check "${requirements[@]/#/--requirement=}" >&2
    cat "${requirements[@]}" >"$installed"
}

# Installs what the tests of deploy/ look at its files with, as far as it is missing: kubectl, systemd-analyze, promtool, curl.
install_deploy_tools() {
    local missing=()
    has_command kubectl || missing+=(kubernetes-client)
    has_command systemd-analyze || missing+=(systemd)
    has_command curl || missing+=(curl)
    [[ ${#missing[@]} -eq 0 ]] || install_packages "${missing[@]}"
    install_promtool
}

# Puts promtool into .build-tools, unless there is one. Unpacked, not installed: its package is Prometheus itself, which would
# start as a service of this machine.
install_promtool() {
    local tools=$root/.build-tools
    export PATH=$PATH:$tools
    ! has_command promtool || return 0
    has_command apt-get || fail "needed: promtool, which comes with Prometheus; put it on the PATH and run this again"
    say "unpacking promtool into .build-tools"
    local directory
    directory=$(mktemp -d)
    local download=(apt-get -qq -o APT::Sandbox::User=root download prometheus)
    # Fails where apt's lists are missing or older than the package.
    (cd "$directory" && "${download[@]}" >&2) || { run_apt update && (cd "$directory" && "${download[@]}" >&2); }
    mkdir -p "$tools"
    dpkg-deb --fsys-tarfile "$directory"/prometheus_*.deb | tar -x -C "$tools" --strip-components=3 ./usr/bin/promtool
    rm -r "$directory"
}
