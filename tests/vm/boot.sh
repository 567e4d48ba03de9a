#!/bin/busybox sh
# shellcheck shell=dash
# First process of the guest: loads what Debian's kernel has as modules, changes to the disk and
# hands over. Whatever goes wrong ends the machine, which the test sees.
busybox mkdir -p /proc /sys /dev /disk
busybox mount -t proc proc /proc
busybox mount -t sysfs sysfs /sys
busybox mount -t devtmpfs dev /dev
while read -r module; do
    busybox insmod "/modules/$module" || echo "no module $module"
done </modules/order
busybox mount -t ext4 /dev/vda /disk || busybox poweroff -f
busybox mount -o move /proc /disk/proc
busybox mount -o move /sys /disk/sys
busybox mount -o move /dev /disk/dev
exec busybox switch_root /disk /guest/checks
