#!/bin/sh
# run-image.sh ROOT DATA COMMAND...: a container as docker-compose.yml describes it: a root that nobody can write to, /data kept,
# /tmp and /run in memory. To be run under `unshare --mount --pid`; the network is the machine's.
set -eu
root=$1
data=$2
shift 2
mount --make-rprivate /
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/tmp"
mount -t tmpfs tmpfs "$root/run"
mount --bind "$data" "$root/data"
mount -o remount,bind,ro "$root"
exec chroot "$root" "$@"
