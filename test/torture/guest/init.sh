#!/bin/busybox sh
# The first process of the guest: loads the drivers, mounts the disks and runs the gateway. It has no orderly end:
# the plug is pulled. The lines that begin with "guest:" are read by guest.ts from the serial console.
/bin/busybox --install -s /bin
mount -t proc none /proc
mount -t sysfs none /sys
mount -t devtmpfs none /dev
for module in /modules/*; do insmod "$module"; done
ifconfig lo 127.0.0.1 up
# The address that QEMU's user network forwards to.
ifconfig eth0 10.0.2.15 netmask 255.255.255.0 up

mount -t ext4 -o ro /dev/vda /root
# As a card that is to last is mounted: what is not synced stays in memory for up to half a minute.
mount -t ext4 -o noatime,commit=30 /dev/vdb /root/data || echo 'guest: FAULT the disk cannot be mounted'
dmesg | grep -q '(vdb): recovery complete' && echo 'guest: journal replayed'
for folder in proc sys dev; do mount --bind /$folder /root/$folder; done
mount -t tmpfs none /root/tmp

chroot /root /usr/bin/node /app/dist/larder.js start -c /app/larder.yaml
echo "guest: FAULT the gateway ended with $?"
poweroff -f
