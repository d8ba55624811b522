# Functions for pid 1 of a process namespace of its own, that has the box's mount namespace: make the tree below
# /mnt/root look like a machine's, and live in it. Nothing of the real machine stays in reach: its tree is covered by the
# overlay and then unmounted, its kernel settings are read-only, its sockets, disks and swap are not there.
set -eu
umask 022
[ $$ -eq 1 ] || exit 1 # by hand, this would mount all over the real machine

furnish() {
    cd /mnt/root
    mount -t proc -o nosuid,nodev,noexec proc proc
    mount -t tmpfs -o mode=0755,nosuid,nodev,size=256m tmpfs run
    mount -t tmpfs -o mode=1777,nosuid,nodev,size=256m tmpfs tmp
    mount -t tmpfs -o mode=0755,nosuid,size=16m tmpfs dev
    mkdir dev/pts dev/shm run/lock run/host
    mount -t devpts -o newinstance,ptmxmode=0666,mode=0620,gid=5 devpts dev/pts
    mount -t tmpfs -o mode=1777,nosuid,nodev,size=64m tmpfs dev/shm
    mknod -m 0666 dev/null c 1 3
    mknod -m 0666 dev/zero c 1 5
    mknod -m 0666 dev/full c 1 7
    mknod -m 0666 dev/random c 1 8
    mknod -m 0666 dev/urandom c 1 9
    mknod -m 0666 dev/tty c 5 0
    mknod -m 0600 dev/console c 1 3
    ln -s pts/ptmx dev/ptmx
    ln -s /proc/self/fd dev/fd
    ln -s /proc/self/fd/0 dev/stdin
    ln -s /proc/self/fd/1 dev/stdout
    ln -s /proc/self/fd/2 dev/stderr
    # What would reach the real machine through /proc.
    for path in acpi asound bus driver fs irq mtrr scsi sys sysrq-trigger; do
        [ -e "proc/$path" ] || continue
        mount --bind "proc/$path" "proc/$path"
        mount -o remount,bind,ro,nosuid,nodev,noexec "proc/$path"
    done
    # Who shuts down a machine takes its swap away, all that is listed here.
    [ ! -e proc/swaps ] || mount --bind dev/null proc/swaps
}

live_in_it() {
    cd /mnt/root
    pivot_root . .
    umount -l .
    cd /
}
