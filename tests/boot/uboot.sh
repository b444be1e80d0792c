#!/usr/bin/env bash
# Boots Debian's U-Boot to its prompt, and asks it for its version and the board's memory.
# Usage: tests/boot/uboot.sh [smode|opensbi|opensbi-jump|mmode]
#   smode         U-Boot for S-mode on Trapeze's own SBI firmware (the default)
#   opensbi       the same on Debian's OpenSBI, fw_dynamic.bin
#   opensbi-jump  the same on its fw_jump.bin
#   mmode         U-Boot for M-mode, as the firmware itself
# Downloads go to $TRAPEZE_BUILD_DIR/peers (default: build/peers).
. "$(dirname "$0")/common.sh"

how=${1:-smode}
fetch u-boot-qemu
uboot=$peers/root/usr/lib/u-boot
case $how in
  smode) boot=(-kernel "$uboot/qemu-riscv64_smode/u-boot.bin") ;;
  opensbi | opensbi-jump)
    fetch opensbi
    [ "$how" = opensbi ] && image=fw_dynamic.bin || image=fw_jump.bin
    boot=(-bios "$peers/root/usr/lib/riscv64-linux-gnu/opensbi/generic/$image" -kernel "$uboot/qemu-riscv64_smode/u-boot.bin") ;;
  mmode) boot=(-bios "$uboot/qemu-riscv64/u-boot.bin") ;;
  *) die "\"$how\" is no way to start it; give smode, opensbi, opensbi-jump or mmode" ;;
esac
"$trapeze" build
guest_start "$trapeze" boot -machine virt -m 256M -nographic -no-reboot "${boot[@]}"
expect "Hit any key to stop autoboot"
type_line ""
expect "=> "
say "prompt after $(elapsed)"
type_line "version"
expect "U-Boot 20"
type_line "bdinfo"
expect "size     = 0x0000000010000000"
type_line "fdt addr \${fdtcontroladdr}; fdt print /cpus timebase-frequency"
expect "0x00989680"
type_line "poweroff"
say "all done after $(elapsed)"
