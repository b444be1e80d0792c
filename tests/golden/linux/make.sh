#!/usr/bin/env bash
# Makes the goldens again: runs every check of tests/container-sim/probes on Debian sid's riscv64 kernel in QEMU, each as a privileged
# container of its own (box.c), and writes tests/golden/linux/PROGRAM.txt.
# Usage: tests/golden/linux/make.sh [PROGRAM...]
# Downloads go to $TRAPEZE_PEERS_DIR (default: $TRAPEZE_BUILD_DIR/peers), 130 MB the first time; what is made to $TRAPEZE_BUILD_DIR/golden.
# GOLDEN_OUT names another folder for the results, to compare two runs; GOLDEN_HARTS the number of harts, to see whether order matters.
. "$(dirname "$0")/../../boot/common.sh"

golden=$root/tests/golden/linux out=${GOLDEN_OUT:-$root/tests/golden/linux} work=$build/golden
need qemu-system-riscv64 qemu-system-misc riscv64-linux-gnu-gcc gcc-riscv64-linux-gnu cpio cpio xz xz-utils
fetch_linux
make -s -C "$root/scenarios/guests" BUILD="$build/guests" oracle
programs=("$@")
[ $# -gt 0 ] || programs=($(cd "$root/tests/container-sim/probes" && ls ./*.c | sed 's|^./||; s|\.c$||' | grep -vx check))

tree=$work/initramfs
rm -rf "$tree"
mkdir -p "$tree"/{bin,modules,probes,proc,sys,new}
cp "$peers/root/usr/bin/busybox" "$tree/bin/"
riscv64-linux-gnu-gcc -static -O1 -Wall -Wextra -Wno-unused-result "$golden/box.c" -o "$tree/bin/box"
for program in "${programs[@]}"; do cp "$build/guests/oracle/$program" "$tree/probes/"; done
: >"$tree/modules/load"
for module in overlay veth bridge ext4; do insert_module "$tree/modules" "$module"; done

cat >"$tree/init" <<'INIT'
#!/bin/busybox sh
# The initial RAM disk cannot be the root of containers (nothing can pivot away from it): go on in a tmpfs.
export PATH=/bin
/bin/busybox mount -t tmpfs -o mode=755 root /new
/bin/busybox cp -a /bin /modules /probes /stage2 /new/
/bin/busybox mkdir /new/proc /new/sys /new/dev /new/tmp /new/box
exec /bin/busybox switch_root /new /stage2
INIT
cat >"$tree/stage2" <<'INIT'
#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t devtmpfs devtmpfs /dev
exec </dev/console >/dev/console 2>&1
while read -r module; do insmod "/modules/$module.ko"; done </modules/load
for controller in $(cat /sys/fs/cgroup/cgroup.controllers); do echo "+$controller" >/sys/fs/cgroup/cgroup.subtree_control; done
echo "@@@ $(uname -srm)"
for program in $(ls /probes); do
  for check in $("/probes/$program" --list); do box "/probes/$program" --timeout 60000 "$check"; done >/tmp/result 2>&1
  echo "@@@ begin $program"
  cat /tmp/result
  echo "@@@ end $program"
done
echo "@@@ all done"
poweroff -f
INIT
chmod +x "$tree/init" "$tree/stage2"
(cd "$tree" && find . -print0 | sort -z | cpio --quiet -0 -o -H newc -R 0:0 | gzip -1n) >"$work/initramfs.cpio.gz"

console=$work/console.log
say "running ${programs[*]} under QEMU; the console goes to $console"
timeout "${GOLDEN_TIMEOUT:-3600}" qemu-system-riscv64 -machine virt -m 1G -smp "${GOLDEN_HARTS:-1}" -kernel "$linux" -initrd "$work/initramfs.cpio.gz" \
  -append "console=ttyS0 quiet loglevel=1 panic=-1" -nographic -no-reboot </dev/null >"$console" 2>&1 || true
grep -aq '^@@@ all done' "$console" || die "the guest did not come to its end; see $console"
for program in "${programs[@]}"; do
  tr -d '\r' <"$console" | sed -n "/^@@@ begin $program\$/,/^@@@ end $program\$/p" | grep -av '^@@@' >"$work/$program.txt"
  checks=$(wc -l <"$work/$program.txt")
  listed=$(grep -c '^CHECK(' "$root/tests/container-sim/probes/$program.c")
  [ "$checks" = "$listed" ] || die "$program has $listed checks but printed $checks lines; see $console"
  cp "$work/$program.txt" "$out/"
  say "$program: $checks checks"
done
