# Run after tree.sh as pid 1 of a boot's own namespaces (pid, mount, uts, ipc, net, cgroup), inside those of hold.sh:
# becomes the machine's init, whose words are the arguments.
read -r pid _ < /proc/self/stat
echo "$pid"
exec > /mnt/console 2>&1 < /dev/null
boot_id=$(cat /proc/sys/kernel/random/uuid)
hostname box
furnish
mount -t sysfs -o ro,nosuid,nodev,noexec sysfs sys
# What is mounted below these (debugfs, fusectl, bpf, pstore, efivarfs) is one for all: no init system shall find a place.
for path in sys/fs sys/kernel sys/firmware; do
    mount -t tmpfs -o mode=0755,size=1m tmpfs "$path"
done
mkdir sys/fs/cgroup
for path in sys/fs sys/kernel sys/firmware; do
    mount -o remount,ro "$path"
done
mount -t cgroup2 -o nosuid,nodev,noexec cgroup2 sys/fs/cgroup
# Each boot has its own boot id, as on a real machine.
echo "$boot_id" > run/host/boot_id
mount --bind run/host/boot_id proc/sys/kernel/random/boot_id
touch run/host/notify
mount --bind /mnt/notify run/host/notify
live_in_it
exec env -i container=kegmaster-box NOTIFY_SOCKET=/run/host/notify PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@"
