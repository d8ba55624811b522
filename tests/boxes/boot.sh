# Run as pid 1 of a boot's own namespaces (pid, mount, uts, ipc, net, cgroup), inside those of hold.sh: makes the tree
# a machine of its own and becomes its init, whose words are the arguments. Nothing of the real machine stays in reach:
# its tree is covered by the overlay and then unmounted, its kernel settings are read-only.
set -eu
umask 022
read -r pid _ < /proc/self/stat
echo "$pid"
exec > /mnt/console 2>&1 < /dev/null
boot_id=$(cat /proc/sys/kernel/random/uuid)
hostname box
cd /mnt/root
mount -t proc -o nosuid,nodev,noexec proc proc
mount -t sysfs -o ro,nosuid,nodev,noexec sysfs sys
mount -t cgroup2 -o nosuid,nodev,noexec cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=0755,nosuid,nodev tmpfs run
mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs tmp
mount -t tmpfs -o mode=0755,nosuid tmpfs dev
mkdir dev/pts dev/shm run/lock run/host
mount -t devpts -o newinstance,ptmxmode=0666,mode=0620,gid=5 devpts dev/pts
mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs dev/shm
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
for path in bus fs irq sys sysrq-trigger; do
    [ -e "proc/$path" ] || continue
    mount --bind "proc/$path" "proc/$path"
    mount -o remount,bind,ro,nosuid,nodev,noexec "proc/$path"
done
# Each boot has its own boot id, as on a real machine.
echo "$boot_id" > run/host/boot_id
mount --bind run/host/boot_id proc/sys/kernel/random/boot_id
touch run/host/notify
mount --bind /mnt/notify run/host/notify
pivot_root . .
umount -l .
cd /
exec env -i container=kegmaster-box NOTIFY_SOCKET=/run/host/notify PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    setpriv --bounding-set -sys_module,-sys_rawio,-sys_time,-mknod,-syslog "$@"
