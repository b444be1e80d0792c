#!/usr/bin/env bash
# Runs Debian sid's riscv64 programs in containers as they are: bash, dynamic util-linux, catatonit as pid 1, iproute2's `ip netns`, programs
# in Go (fzf, runc), and crun starting an OCI bundle inside a container. Each line says what was asked and whether the answer was the expected one.
# Usage: tests/boot/debian-tools.sh [TEXT]     only the checks whose name contains TEXT
# Downloads go to $TRAPEZE_PEERS_DIR (default: $TRAPEZE_BUILD_DIR/peers), 40 MB the first time; the root file system to $TRAPEZE_BUILD_DIR/debian-tools.
. "$(dirname "$0")/common.sh"

only=${1:-} tree=$build/debian-tools failed=0
fetch busybox-static bash-static catatonit util-linux iproute2 crun fzf runc libc6 libmount1 libblkid1 libsmartcols1 libuuid1 libselinux1 libpcre2-8-0 libcap2 libcap-ng0 libaudit1 \
  libtinfo6 zlib1g libelf1t64 libbpf1 libmnl0 libzstd1 libxtables12 libtirpc3t64 libbsd0 libmd0 libdb5.3t64 libseccomp2 libyajl2 libjson-c5 libsystemd0 libblake3-0 libtbb12 \
  libgcc-s1 libstdc++6 libcrypt1 libpam0g libudev1

make_tree() {
  rm -rf "$tree"
  mkdir -p "$tree"/usr/lib "$tree"/{proc,sys/fs/cgroup,dev,tmp,root,etc,run,var,bundle/rootfs/bin}
  cp -a "$peers"/root/usr/{bin,sbin} "$tree/usr/"
  cp -a "$peers"/root/usr/lib/ld-linux-riscv64-lp64d.so.1 "$tree/usr/lib/"
  mkdir "$tree/usr/lib/riscv64-linux-gnu"
  cp -a "$peers"/root/usr/lib/riscv64-linux-gnu/*.so* "$tree/usr/lib/riscv64-linux-gnu/"
  for folder in bin sbin lib; do ln -s "usr/$folder" "$tree/$folder"; done
  for name in sh hostname mount umount cat sleep; do ln -s busybox "$tree/usr/bin/$name"; done
  ln -s /run "$tree/var/run"
  cp "$peers/root/usr/bin/busybox" "$tree/bundle/rootfs/bin/"
  ln -s busybox "$tree/bundle/rootfs/bin/sh"
}

# check NAME EXPECTED SCRIPT: what the script prints in a container contains the expected text, a pattern of grep -E over all of it: in one
# that the kernel starts by itself, and in a privileged one of the engine's.
check() {
  case $1 in *"$only"*) ;; *) return 0 ;; esac
  local output way options
  for way in "by itself" "by the engine"; do
    options=()
    [ "$way" = "by itself" ] || options=(--rm --privileged --rootfs)
    output=$(timeout 300 "$trapeze" container run "${options[@]}" --machine-memory 512M --max-instructions 20000000000 --hostname debian "$tree" /usr/bin/bash-static -c "$3" </dev/null 2>&1 |
      tr '\n' ' ') || true
    if grep -qE -- "$2" <<<"$output"; then
      say "$1, $way: as expected"
    else
      say "$1, $way: FAILED, expected \"$2\", got: $output"
      failed=1
    fi
  done
}

make_tree
"$trapeze" build
mounted='mount -t sysfs sysfs /sys; mount -t cgroup2 cgroup2 /sys/fs/cgroup; mount -t tmpfs run /run;'
bundle='cd /bundle; crun spec; busybox sed -i -e "s/\"terminal\": true/\"terminal\": false/" -e "s|\"sh\"|\"/bin/sh\", \"-c\", \"echo \$\$; busybox hostname; busybox mount; busybox sleep 30\"|" config.json;'
check "bash" "^1 4 9 3 sub proc hi" 'for i in 1 2 3; do echo $((i*i)); done; x=(a b c); echo ${#x[@]} $(echo sub); cat < <(echo proc); cat <<<hi'
check "unshare, all namespaces" "uid=0.* 1 0 .*busybox ps" 'unshare -Upfr --mount-proc -n -u -i -C -m busybox sh -c "hostname inner; id; busybox ps"'
check "lsns" "^cgroup ipc mnt net pid time user uts \$" 'lsns -n -o TYPE | busybox sort'
check "nsenter" "inside debian" 'unshare -u sh -c "hostname inside; sleep 5" & sleep 1; nsenter -t $! -u hostname; hostname'
check "catatonit as pid 1" "^hi +1 .*catatonit" 'unshare -pf --mount-proc catatonit -- sh -c "echo hi; busybox ps | busybox grep catatonit | busybox head -n 1"'
check "Go programs" "^banana .*runc version 1.* go: go1" 'printf "apple\nbanana\ncherry\n" | fzf --filter=an; runc --version'
check "ip netns" "red .*lo: .*LOOPBACK.*127.0.0.1.*1 packets received" \
  "$mounted ip netns add red; ip netns list; ip netns exec red ip link; ip -n red link set lo up; ip -n red addr; ip netns exec red busybox ping -c 1 127.0.0.1; ip netns del red"
check "ip netns, veth" "1 packets received" \
  "$mounted ip netns add red; ip link add v0 type veth peer name v1 netns red; ip addr add 10.9.0.1/24 dev v0; ip link set v0 up; ip -n red addr add 10.9.0.2/24 dev v1; ip -n red link set v1 up; busybox ping -c 1 10.9.0.2"
check "ipcmk, ipcs, ipcrm" "0x.* 0 .* 644 .*4096 .*deleted" 'ipcmk -M 4096; ipcs -m; ipcrm -m 0 && echo deleted'
check "flock" "locked busy" 'flock /tmp/l sh -c "echo locked; flock -n /tmp/l true || echo busy"'
check "chrt, taskset" "SCHED_FIFO.*: 7 .*mask: 1" 'chrt -f 7 sh -c "chrt -p \$\$"; taskset -p $$'
check "crun, an OCI bundle" "^1 crun .*mqueue on /dev/mqueue.*one .* running .*uid=0.*\"status\": \"running\".*gone" \
  "$mounted $bundle crun --cgroup-manager=disabled run -d one >/tmp/out 2>&1; sleep 1; cat /tmp/out; crun list; crun exec one /bin/busybox id; crun state one; crun kill one KILL; sleep 1; crun delete one; crun state one >/dev/null 2>&1 || echo gone"
[ "$failed" = 0 ] || die "some programs did not do what they do on Linux"
say "all done after $SECONDS s"
