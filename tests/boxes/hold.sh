# Run as pid 1 of a box's outer namespaces (pid, mount), which lives from the box's making to its end, over all boots:
# holds the file tree. Ends when its stdin does, and with it every process and mount of the box.
#
# The tree is this machine's own, seen through an overlay; what is written lands in memory, and only so much of it.
set -eu
umask 022
[ $$ -eq 1 ] || exit 1 # by hand, this would cover the real machine's /mnt
mount -t tmpfs -o mode=0755,size=2g box /mnt
mkdir /mnt/upper /mnt/work /mnt/root
mount -t overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work box /mnt/root
read -r pid _ < /proc/self/stat
echo "$pid"
exec cat > /dev/null
