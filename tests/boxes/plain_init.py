"""A pid 1 that is no systemd, as simple as they come: System V's order of things, and no more.

At boot it runs what is enabled in /etc/rc2.d, says that it is ready, and reaps. At TERM it runs what is enabled in
/etc/rc0.d, asks all that is left to end, kills what does not, and ends.
"""

import fcntl
import glob
import os
import signal
import socket
import struct
import sys
import time

SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1


def run_scripts(pattern: str, verb: str) -> None:
    for script in sorted(glob.glob(pattern)):
        null = (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0)
        os.waitpid(os.posix_spawn(script, [script, verb], os.environ, file_actions=[null], setsigmask=[]), 0)


def loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        found = fcntl.ioctl(any_socket, SIOCGIFFLAGS, struct.pack("16sh22x", b"lo", 0))
        flags = struct.unpack("16sh22x", found)[1]
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", flags | IFF_UP))


def take_name() -> None:
    """Be called what the first process of such a machine is called."""
    with open("/proc/self/comm", "w") as file:
        file.write("init")


def reap(seconds: float) -> bool:
    """Whether all children ended within this time."""
    until_s = time.monotonic() + seconds
    while True:
        try:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                if (left_s := until_s - time.monotonic()) <= 0:
                    return False
                signal.sigtimedwait({signal.SIGCHLD}, left_s)
        except ChildProcessError:
            return True


def main() -> None:
    if os.getpid() != 1:
        sys.exit("this ends all processes of the machine whose pid 1 it is; it is none")
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD, signal.SIGTERM})
    take_name()
    address = os.environ.pop("NOTIFY_SOCKET")
    os.environ.pop("container")
    loopback_up()
    run_scripts("/etc/rc2.d/S*", "start")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready:
        ready.sendto(b"READY=1", address)
    while signal.sigwait({signal.SIGCHLD, signal.SIGTERM}) != signal.SIGTERM:
        reap(0)
    run_scripts("/etc/rc0.d/K*", "stop")
    for number, seconds in ((signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0)):
        os.kill(-1, number)
        reap(seconds)


main()
