#!/usr/bin/env bash
# Makes the base image correio/base:bookworm from Debian packages, for a machine that reaches no image registry.
# Another name may be given, and further packages: deploy/base-image.sh correio/systemd:bookworm systemd,dbus
#
# Needs root, debootstrap, a Debian mirror (MIRROR, default: the one that this machine's apt uses) and a Docker engine.
# Takes about 90 s; the image has about 290 MB. `make up MODE=docker` runs it where no other base image is at hand.
set -euo pipefail

image=${1:-correio/base:bookworm}
packages=python3,python3-venv${2:+,$2}

fail() {
    echo "base-image: $*" >&2
    exit 1
}

[ "$(id -u)" = 0 ] || fail "only root can make a base image: sudo deploy/base-image.sh"
command -v debootstrap >/dev/null || fail "debootstrap is missing: apt-get install debootstrap"
command -v docker >/dev/null || fail "the docker command is missing: apt-get install docker.io"

# The mirror that apt uses here for bookworm, whatever else it is set up with.
apt_mirror() {
    command -v apt-get >/dev/null || return 0
    apt-get indextargets --format '$(SITE) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' 2>/dev/null |
        awk '$2 == "bookworm" && $3 == "main" {print $1; exit}'
}
mirror=${MIRROR:-$(apt_mirror)}
mirror=${mirror:-http://deb.debian.org/debian}

folder=$(mktemp -d)
trap 'rm -rf --one-file-system "$folder"' EXIT
chmod 755 "$folder"

echo "base-image: installing Debian packages from $mirror"
debootstrap --variant=minbase --include="$packages" bookworm "$folder/root" "$mirror" >"$folder/log" 2>&1 || {
    tail -n 20 "$folder/log" >&2
    fail "debootstrap failed; its last lines are above"
}
rm -rf "$folder"/root/var/cache/apt/* "$folder"/root/var/lib/apt/lists/* "$folder"/root/usr/share/{doc,man,locale,info}/* \
    "$folder"/root/var/log/*
echo "base-image: importing $image"
tar -C "$folder/root" --numeric-owner -c . | docker import \
    --change 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8' \
    --change 'CMD ["python3"]' --message 'Debian bookworm with Python 3.11' - "$image" >/dev/null
echo "base-image: $image is made"
