#!/usr/bin/env bash
# Boots Debian sid's riscv64 kernel with busybox to a shell, and works there: ls, ps, mount, vi, an ext4 disk.
# Usage: tests/boot/linux.sh [builtin|opensbi|qemu] [HARTS] [MODE]
#   builtin  Trapeze's own SBI firmware (the default)
#   opensbi  Debian's OpenSBI, fw_dynamic.bin (fw_jump.bin puts the device tree where this kernel of 36 MB lies, on QEMU as well)
#   qemu     the same with qemu-system-riscv64, to compare
#   MODE     how it is run, such as hardware-assisted; the default is bare
# Downloads go to $TRAPEZE_BUILD_DIR/peers (default: build/peers), 130 MB the first time.
. "$(dirname "$0")/common.sh"

firmware=${1:-builtin} harts=${2:-1} mode=${3:-bare}
fetch_linux
make_initramfs
make_disk
program=("$trapeze" boot --mode "$mode")
case $firmware in
  builtin) bios=default ;;
  opensbi) fetch opensbi; bios=$peers/root/usr/lib/riscv64-linux-gnu/opensbi/generic/fw_dynamic.bin ;;
  qemu) need qemu-system-riscv64 qemu-system-misc; program=(qemu-system-riscv64 -global virtio-mmio.force-legacy=false); bios=default ;;
  *) die "\"$firmware\" is no firmware; give builtin, opensbi or qemu" ;;
esac
cp "$disk" "$peers/work.img"
"$trapeze" build
guest_start "${program[@]}" -machine virt -m 512M -smp "$harts" -bios "$bios" -kernel "$linux" -initrd "$initramfs" -append "console=ttyS0" \
  -drive "file=$peers/work.img,format=raw,if=none,id=x0" -device virtio-blk-device,drive=x0 -nographic -no-reboot
expect "/ # "
say "shell after $(elapsed)"
type_line "ls /"
expect "modules"
type_line "ps | head -n 3"
expect "PID"
expect "[kthreadd]"
type_line "mount -t ext4 /dev/vda /mnt && cat /mnt/hello.txt"
expect "hello from an ext4 disk"
type_line "echo \$((6 * 7)) traps >/mnt/new.txt; umount /mnt; mount -t ext4 /dev/vda /mnt; cat /mnt/new.txt; mount | grep vda"
expect "42 traps"
expect "/dev/vda on /mnt type ext4"
type_line "vi /tmp/poem"
expect "/tmp/poem 1/1"
sleep 1 # it asks the terminal for its size, and takes what comes at once for the answer
printf 'itraps fall\rand rise again\033' >&9
expect "2/2"
sleep 1 # an Escape is one only when nothing follows it at once
printf ':wq\r' >&9
expect "/ # "
type_line "cat /tmp/poem; wc -l /tmp/poem"
expect "traps fall"
expect "2 /tmp/poem"
type_line "poweroff -f"
expect "ower down"
say "all done after $(elapsed)"
