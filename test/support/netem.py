"""A bad line in user space, for kernels without netem: two TUN devices, and this between them.

    netem.py HERE THERE NAMESPACE

makes the device HERE, makes THERE and moves it into NAMESPACE, says "ready", and then passes packets from one to the
other. Each line on standard input is JSON and says how from then on: {"delay": ms, "loss": 0 to 1, "reorder": 0 to 1},
for each direction; what is reordered goes without the delay, as with netem. The end of standard input is the end.
"""

import fcntl
import heapq
import itertools
import json
import os
import random
import select
import struct
import subprocess
import sys
import time

TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI = 0x0001, 0x1000
PACKET = 65536


def tun(name):
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH", name.encode(), IFF_TUN | IFF_NO_PI))
    return fd


def main(here, there, namespace):
    ends = [tun(here), tun(there)]
    subprocess.run(["ip", "link", "set", there, "netns", namespace], check=True)
    print("ready", flush=True)
    line = {"delay": 0, "loss": 0, "reorder": 0}
    under_way, number = [], itertools.count()
    while True:
        wait = max(0, under_way[0][0] - time.monotonic()) if under_way else None
        for fd in select.select([0, *ends], [], [], wait)[0]:
            if fd == 0:
                said = sys.stdin.readline()
                if said == "":
                    return
                line.update(json.loads(said))
                continue
            to = ends[1] if fd == ends[0] else ends[0]
            try:
                packet = os.read(fd, PACKET)
            except OSError:
                continue  # the device is down
            if random.random() < line["loss"]:
                continue
            delay = 0 if random.random() < line["reorder"] else line["delay"] / 1000
            heapq.heappush(under_way, (time.monotonic() + delay, next(number), to, packet))
        while under_way and under_way[0][0] <= time.monotonic():
            _, _, to, packet = heapq.heappop(under_way)
            try:
                os.write(to, packet)
            except OSError:
                pass  # the device is down, or its queue full


main(*sys.argv[1:])
