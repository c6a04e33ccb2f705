"""Delays the frames of one port of the switch: netem in user space, for kernels that have none.

Run in the switch's namespace as ``relay.py PORT TAP BRIDGE DELAY_MS JITTER_MS``: takes PORT off the bridge,
puts the new interface TAP there, and carries frames between the two. Prints "ready"; ends on SIGTERM.
Jitter reorders, as it does on real networks.
"""

from __future__ import annotations

import fcntl
import heapq
import os
import random
import select
import signal
import socket
import struct
import subprocess
import sys
import time

# linux/if_tun.h
TUNSETIFF = 0x400454CA
TUNSETVNETHDRSZ = 0x400454D8
TUNSETOFFLOAD = 0x400454D0
IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 0x0002, 0x1000, 0x4000
TUN_F_CSUM, TUN_F_TSO4, TUN_F_TSO6 = 0x01, 0x02, 0x04
VNET_HEADER = 10
# linux/if_packet.h
SOL_PACKET = 263
PACKET_ADD_MEMBERSHIP, PACKET_VNET_HDR, PACKET_IGNORE_OUTGOING = 1, 15, 23
PACKET_MR_PROMISC = 1
ETH_P_ALL = 3

FRAME_LIMIT = 70_000  # a segment of 64 KiB that the kernel did not cut, plus headers
QUEUE_LIMIT = 20_000  # frames in flight; beyond it they are lost, as in a real switch
SOCKET_BUFFER = 8 << 20


def open_tap(name: str) -> int:
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI | IFF_VNET_HDR))
    fcntl.ioctl(fd, TUNSETVNETHDRSZ, struct.pack("i", VNET_HEADER))
    fcntl.ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6)
    return fd


def open_port(name: str) -> socket.socket:
    port = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    port.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
    membership = struct.pack("IHH8s", socket.if_nametoindex(name), PACKET_MR_PROMISC, 0, b"")
    port.setsockopt(SOL_PACKET, PACKET_ADD_MEMBERSHIP, membership)
    port.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
    port.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SOCKET_BUFFER)
    return port


class Relay:
    """Frames in flight between a tap and a port, each with the moment when it is due."""

    def __init__(self, tap: int, port: socket.socket, delay: float, jitter: float) -> None:
        self._tap, self._port = tap, port
        self._delay, self._jitter = delay, jitter
        self._queue: list[tuple[float, int, bool, bytes]] = []
        self._count = 0

    def run(self) -> None:
        poll = select.poll()
        poll.register(self._tap, select.POLLIN)
        poll.register(self._port, select.POLLIN)
        while True:
            timeout = max(0.0, (self._queue[0][0] - time.monotonic()) * 1000) if self._queue else None
            for fd, _ in poll.poll(timeout):
                self._take(from_tap=fd == self._tap)
            self._deliver(time.monotonic())

    def _take(self, *, from_tap: bool) -> None:
        while True:
            try:
                frame = os.read(self._tap, FRAME_LIMIT) if from_tap else self._port.recv(FRAME_LIMIT)
            except BlockingIOError:
                return
            except OSError as error:  # the interface went down: the cable was pulled
                print(f"take: {error}", flush=True)
                return
            if len(self._queue) >= QUEUE_LIMIT:
                continue
            delay = self._delay + random.uniform(-self._jitter, self._jitter)
            self._count += 1
            heapq.heappush(self._queue, (time.monotonic() + max(delay, 0.0), self._count, from_tap, frame))

    def _deliver(self, now: float) -> None:
        while self._queue and self._queue[0][0] <= now:
            _, _, from_tap, frame = heapq.heappop(self._queue)
            try:
                if from_tap:
                    self._port.send(frame)
                else:
                    os.write(self._tap, frame)
            except OSError as error:  # down, or its queue is full: the frame is lost, as on a real wire
                print(f"deliver {len(frame)} bytes: {error}", flush=True)


def main() -> None:
    port_name, tap_name, bridge, delay, jitter = sys.argv[1:]
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    tap = open_tap(tap_name)
    port = open_port(port_name)
    subprocess.run(["ip", "link", "set", port_name, "nomaster"], check=True)
    port.bind((port_name, ETH_P_ALL))
    port.setblocking(False)
    subprocess.run(["ip", "link", "set", tap_name, "master", bridge, "up"], check=True)
    print("ready", flush=True)
    Relay(tap, port, float(delay) / 1000, float(jitter) / 1000).run()


if __name__ == "__main__":
    main()
