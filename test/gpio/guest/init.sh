#!/bin/busybox sh
# The first process of the guest: loads what the board's pins need, runs the scenario and ends the machine. The lines
# that begin with "gpio:" are read by the rig from the serial console.
/bin/busybox --install -s /bin
mount -t proc none /proc
mount -t sysfs none /sys
mount -t devtmpfs none /dev
mount -t tmpfs none /tmp
for module in /modules/*; do [ -e "$module" ] && insmod "$module"; done
mount -t configfs none /sys/kernel/config 2>/dev/null
ifconfig lo 127.0.0.1 up
export HOME=/tmp
read -r scenario </scenario
/usr/bin/node /app/scenario.js "$scenario"
echo "gpio: ended with $?"
poweroff -f
