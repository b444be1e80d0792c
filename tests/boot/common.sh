# What the boot scripts share: Debian packages for riscv64 fetched with an apt state of their own, an initial RAM disk, a disk image, and a
# driver that types at the guest and looks for what it prints. Sourced, not run.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
build=${TRAPEZE_BUILD_DIR:-$root/build}
peers=${TRAPEZE_PEERS_DIR:-$build/peers}
trapeze=$root/trapeze
mkdir -p "$peers"

say() { printf '%s: %s\n' "$(basename "$0")" "$*" >&2; }
die() { say "$*"; exit 1; }

need() { # need PROGRAM PACKAGE...: every program, or the packages to install
  local missing=()
  while [ $# -gt 0 ]; do
    command -v "$1" >/dev/null || [ -x "/sbin/$1" ] || [ -x "/usr/sbin/$1" ] || missing+=("$2")
    shift 2
  done
  [ ${#missing[@]} -eq 0 ] || die "these packages are missing: ${missing[*]}; as root run: apt-get install ${missing[*]}"
}

# Sets ${apt[@]} to apt's options for an own state: architecture riscv64, suite sid, nothing of the system's.
apt_options() {
  local state=$peers/apt mirror
  mirror=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/*.sources /etc/apt/sources.list.d/*.list 2>/dev/null |
    sed -n -E 's/^(deb|URIs:) *(\[[^]]*\] *)?([a-z]+:\/\/[^ ]*\/debian)\/?( .*)?$/\3/p' | head -n 1 || true)
  [ -n "$mirror" ] || die "no Debian mirror is configured in /etc/apt, so packages cannot be fetched"
  mkdir -p "$state"/{lists/partial,cache/archives/partial,etc}
  touch "$state/status"
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror sid main" >"$state/etc/sources.list"
  apt=(-o APT::Architecture=riscv64 -o APT::Architectures=riscv64 -o "Dir::State=$state" -o "Dir::State::lists=$state/lists"
    -o "Dir::State::status=$state/status" -o "Dir::Cache=$state/cache" -o "Dir::Etc::sourcelist=$state/etc/sources.list"
    -o Dir::Etc::sourceparts=/dev/null -o Acquire::Languages=none)
  [ "$(id -u)" != 0 ] || apt+=(-o APT::Sandbox::User=root)
}

fetch() { # fetch PACKAGE...: unpacks Debian sid's riscv64 packages into $peers/root, once each
  need apt-get apt dpkg dpkg
  local package apt=()
  for package in "$@"; do
    [ -e "$peers/have/$package" ] && continue
    if [ ${#apt[@]} -eq 0 ]; then
      apt_options
      say "fetching from Debian sid for riscv64: $*"
      apt-get "${apt[@]}" -q update >"$peers/apt.log" 2>&1 || die "apt-get update failed; see $peers/apt.log"
    fi
    mkdir -p "$peers/have" "$peers/deb"
    (cd "$peers/deb" && apt-get "${apt[@]}" -q download "$package") >>"$peers/apt.log" 2>&1 || die "$package cannot be fetched; see $peers/apt.log"
    dpkg -x "$peers/deb/${package}"_*.deb "$peers/root"
    rm "$peers/deb/${package}"_*.deb
    touch "$peers/have/$package"
  done
}

newest_kernel() { # the version of the newest riscv64 kernel in sid, such as 7.2.13+deb14
  local apt=()
  if ls "$peers"/root/usr/lib/modules/*/vmlinuz >/dev/null 2>&1; then
    basename "$(dirname "$(ls -v "$peers"/root/usr/lib/modules/*/vmlinuz | tail -n 1)")" | sed 's/-riscv64$//'
    return
  fi
  apt_options
  apt-get "${apt[@]}" -q update >"$peers/apt.log" 2>&1 || die "apt-get update failed; see $peers/apt.log"
  apt-cache "${apt[@]}" search '^linux-binary-.*-riscv64$' | sed -E 's/^linux-binary-(.*)-riscv64 .*/\1/' | sort -V | tail -n 1
}

fetch_linux() { # Linux, its modules and busybox; sets $linux to the kernel image and $modules to the folder of its modules
  local version
  version=$(newest_kernel)
  [ -n "$version" ] || die "Debian sid has no linux-binary package for riscv64 at the moment"
  fetch busybox-static "linux-binary-$version-riscv64" "linux-modules-$version-riscv64"
  linux=$peers/root/usr/lib/modules/$version-riscv64/vmlinuz
  modules=$peers/root/usr/lib/modules/$version-riscv64/kernel
}

insert_module() { # insert_module FOLDER NAME: copies a module and what it depends on, and adds them to its load list in that order
  local folder=$1 name=$2 file dependency
  ! grep -qx "$name" "$folder/load" || return 0
  file=$(find "$modules" -name "$(echo "$name" | sed 's/[-_]/[-_]/g').ko.xz" | head -n 1)
  [ -n "$file" ] || die "there is no module $name in $modules"
  xz -dc "$file" >"$folder/$name.ko"
  for dependency in $(tr '\0' '\n' <"$folder/$name.ko" | sed -n 's/^depends=//p' | tr ',' ' '); do
    [ -z "$dependency" ] || insert_module "$folder" "$dependency"
  done
  echo "$name" >>"$folder/load"
}

make_initramfs() { # busybox with a shell as its init, and the drivers of the virtio disk and of ext4
  need cpio cpio xz xz-utils
  local tree=$peers/initramfs
  initramfs=$peers/initramfs.cpio.gz
  [ ! -e "$initramfs" ] || return 0
  rm -rf "$tree"
  mkdir -p "$tree"/{bin,dev,etc,mnt,modules,proc,sys,tmp}
  cp "$peers/root/usr/bin/busybox" "$tree/bin/"
  : >"$tree/modules/load"
  local module
  for module in virtio_mmio virtio_blk ext4; do insert_module "$tree/modules" "$module"; done
  cat >"$tree/init" <<'INIT'
#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin TERM=vt100 HOME=/tmp
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
while read -r module; do insmod "/modules/$module.ko"; done </modules/load
echo "This is $(uname -srm) with $(nproc) harts."
cd /
exec setsid cttyhack sh
INIT
  chmod +x "$tree/init"
  (cd "$tree" && find . -print0 | sort -z | cpio --quiet -0 -o -H newc -R 0:0 | gzip -n9) >"$initramfs.new"
  mv "$initramfs.new" "$initramfs"
}

make_disk() { # an ext4 image with one file on it
  need mkfs.ext4 e2fsprogs
  disk=$peers/ext4.img
  [ ! -e "$disk" ] || return 0
  rm -rf "$peers/disk-files"
  mkdir -p "$peers/disk-files"
  echo "hello from an ext4 disk" >"$peers/disk-files/hello.txt"
  truncate -s 16M "$disk.new"
  PATH=$PATH:/sbin:/usr/sbin mkfs.ext4 -q -F -d "$peers/disk-files" "$disk.new"
  mv "$disk.new" "$disk"
}

# Talks to a guest: runs a command whose standard input and output are the guest's console.
#   guest_start COMMAND...      begins
#   expect TEXT [SECONDS]       waits until the console has printed TEXT since the last expect; fails after SECONDS (default 120)
#   type_line TEXT              types TEXT and Return
#   guest_end                   ends it
guest_start() {
  console=$peers/$(basename "$0" .sh)-console.log
  : >"$console"
  seen=0
  mkfifo "$peers/keys.$$"
  "$@" <"$peers/keys.$$" >"$console" 2>&1 &
  guest=$!
  exec 9>"$peers/keys.$$"
  rm "$peers/keys.$$"
  trap guest_end EXIT
  begin=$(date +%s.%N)
}
expect() {
  local limit=$((SECONDS + ${2:-120})) rest
  while :; do
    rest=$(tail -c +$((seen + 1)) "$console" | tr -d '\0')
    if [[ $rest == *"$1"* ]]; then
      rest=${rest%%"$1"*}$1
      seen=$((seen + $(printf %s "$rest" | wc -c)))
      return
    fi
    kill -0 "$guest" 2>/dev/null || { tail -n 20 "$console" >&2; die "the guest ended before it printed \"$1\" (all of it is in $console)"; }
    [ $SECONDS -lt $limit ] || { tail -n 20 "$console" >&2; die "the guest has not printed \"$1\" in ${2:-120} s (all of it is in $console)"; }
    sleep 0.1
  done
}
type_line() { printf '%s\n' "$1" >&9; }
elapsed() { echo "$(date +%s.%N) $begin" | awk '{ printf "%.1f s", $1 - $2 }'; }
guest_end() {
  exec 9>&-
  [ -z "${guest:-}" ] || { kill "$guest" 2>/dev/null && wait "$guest" 2>/dev/null; } || true
  guest=
}
