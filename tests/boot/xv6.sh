#!/usr/bin/env bash
# Boots xv6-riscv to its shell, and runs its own tests.
# Usage: tests/boot/xv6.sh FOLDER [HARTS] [quick|shell|all] [MODE]
#   FOLDER  a clone of xv6-riscv in which `make kernel/kernel fs.img` works (or has run)
#   HARTS   1 to 8; the default is 3
#   quick   usertests -q (the default); shell: only a few commands; all: usertests
#   MODE    how it is run, such as trap-and-emulate; the default is bare
. "$(dirname "$0")/common.sh"

[ $# -ge 1 ] || die "name the folder of xv6-riscv: tests/boot/xv6.sh FOLDER [HARTS] [quick|shell|all] [MODE]"
folder=$1 harts=${2:-3} what=${3:-quick} mode=${4:-bare}
[ -d "$folder/kernel" ] || die "$folder has no folder kernel, so it is no clone of xv6-riscv"
[ -e "$folder/kernel/kernel" ] && [ -e "$folder/fs.img" ] || make -C "$folder" kernel/kernel fs.img >"$peers/xv6-build.log" 2>&1 ||
  die "xv6 does not build; see $peers/xv6-build.log"
cp "$folder/fs.img" "$peers/xv6.img"
"$trapeze" build
guest_start "$trapeze" boot --mode "$mode" -machine virt -bios none -kernel "$folder/kernel/kernel" -m 128M -smp "$harts" -nographic \
  -global virtio-mmio.force-legacy=false -drive "file=$peers/xv6.img,if=none,format=raw,id=x0" -device virtio-blk-device,drive=x0,bus=virtio-mmio-bus.0
expect "init: starting sh"
expect "$ "
say "shell after $(elapsed)"
type_line "ls"
expect "usertests"
type_line "echo hello >file"
type_line "cat file | wc"
expect "1 1 6"
case $what in
  shell) ;;
  quick) type_line "usertests -q"; expect "ALL TESTS PASSED" 1800 ;;
  all) type_line "usertests"; expect "ALL TESTS PASSED" 7200 ;;
  *) die "\"$what\" is not known; give quick, shell or all" ;;
esac
say "all done after $(elapsed)"
