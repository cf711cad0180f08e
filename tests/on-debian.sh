#!/usr/bin/env bash
# Runs the checks of .ci/run on another release of Debian, with its Python: tests/on-debian.sh [trixie [COMMAND...]]
# `make test-debian SUITE=forky` is the same. COMMAND is run in a copy of the last commit there (default: .ci/run).
#
# The release is installed into a folder by debootstrap, and entered with namespaces of its own for processes and
# mounts, so nothing of it outlives this script. The network, its certificates and the Docker engine are this
# machine's. The copy lies under the same path inside and outside, for the engine takes paths as they are outside.
# Needs root, debootstrap and a Debian mirror (MIRROR, default: the one that apt uses here). Takes 3 minutes before the
# first check, and some 2 GB of TMPDIR.
set -euo pipefail

suite=${1:-trixie}
shift || true
[ $# -gt 0 ] || set -- bash .ci/run

fail() {
    echo "on-debian: $*" >&2
    exit 1
}

[ "$(id -u)" = 0 ] || fail "only root can install a Debian into a folder"
command -v debootstrap >/dev/null || fail "debootstrap is missing: apt-get install debootstrap"
checkout=$(cd "$(dirname "$0")/.." && pwd)
mirror=${MIRROR:-$(apt-get indextargets --format '$(SITE) $(COMPONENT)' 'Created-By: Packages' 2>/dev/null |
    awk '$2 == "main" {print $1; exit}' || true)}
[ -n "$mirror" ] || fail "apt knows no Debian mirror here; say which: MIRROR=..."

# Short: the paths of sockets in it may have 107 octets.
folder=$(mktemp -d "${TMPDIR:-/tmp}/deb.XXXXXX")
trap 'rm -rf --one-file-system "$folder"' EXIT
chmod 755 "$folder"
mkdir -m 1777 "$folder/tmp"

# An older debootstrap does not know the names of newer releases; the script for unstable serves all of them.
script=/usr/share/debootstrap/scripts/sid
[ ! -e "${script%/*}/$suite" ] || script=
echo "on-debian: installing $suite into $folder/root"
debootstrap --variant=minbase --include=ca-certificates,git,make,python3,python3-venv "$suite" "$folder/root" \
    "$mirror" ${script:+"$script"} >"$folder/log" 2>&1 || {
    tail -n 20 "$folder/log" >&2
    fail "debootstrap failed; its last lines are above"
}
git clone --quiet "$checkout" "$folder/correio"

# What the inner shell mounts goes with its namespace.
export folder
unshare --mount --pid --fork --kill-child bash -euc '
    root=$folder/root
    mount --make-rprivate /
    mkdir -p "$root$folder"
    mount --bind "$folder" "$root$folder"
    mount -t proc proc "$root/proc"
    mount --rbind /sys "$root/sys"
    mount --rbind /dev "$root/dev"
    for each in /etc/resolv.conf /etc/hosts /etc/pip.conf /etc/ssl/certs; do
        [ -e "$each" ] || continue
        [ -d "$each" ] || touch "$root$each"
        mount --bind "$each" "$root$each"
    done
    if [ -S /run/docker.sock ]; then
        touch "$root/run/docker.sock"
        mount --bind /run/docker.sock "$root/run/docker.sock"
    fi
    exec chroot "$root" /usr/bin/env HOME=/root TMPDIR="$folder/tmp" PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \
        sh -c "cd $folder/correio && exec \"\$@\"" sh "$@"
' bash "$@"
