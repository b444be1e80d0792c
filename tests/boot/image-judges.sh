#!/usr/bin/env bash
# Lets skopeo and umoci judge the images that `container build` and `commit` make: both must read them, copy them and unpack them to what a container
# of the image shows. Usage: tests/boot/image-judges.sh
# Works in $TRAPEZE_BUILD_DIR/image-judges.
. "$(dirname "$0")/common.sh"
need skopeo skopeo umoci umoci

work=$build/image-judges failed=0
rm -rf "$work"
mkdir -p "$work/context/data/deep"
export TRAPEZE_STORE=$work/store
"$trapeze" build

expect_same() { # expect_same NAME EXPECTED GOT
  if [ "$2" = "$3" ]; then say "$1: as expected"; else say "$1: FAILED, expected: $2, got: $3"; failed=1; fi
}

echo one >"$work/context/data/deep/file"
ln -s deep/file "$work/context/data/link"
cat >"$work/context/Containerfile" <<'END'
FROM tiny
COPY data /data
RUN echo two > /data/two && rm /etc/motd && mkdir /data/empty && chmod 4755 /data/two
ENV NAME=value
LABEL tier=front
EXPOSE 80
WORKDIR /data
USER 1000
CMD ["sh", "-c", "echo three"]
END
"$trapeze" container build -q -t built "$work/context" >/dev/null
"$trapeze" container shell <<'END' >/dev/null
run --name work -u 0 built sh -c "mkdir /new; echo four > /new/file; rm /data/two; mv /data/deep /data/moved; touch /data/moved/fresh"
commit -m "by hand" -a someone work committed:1
END

for image in built:latest committed:1; do
  name=${image%:*}
  "$trapeze" container save --format oci-dir -o "$work/$name" "$image"
  "$trapeze" container save --format docker-archive -o "$work/$name.tar" "$image"
  id=$("$trapeze" container images -q --no-trunc "$image" | head -n 1)
  expect_same "$name, its id in the layout" "$id" "sha256:$(skopeo inspect --raw "oci:$work/$name" | python3 -c 'import json, sys; print(json.load(sys.stdin)["config"]["digest"].split(":")[1])')"
  expect_same "$name, its id in the archive" "$id" "$(skopeo inspect --raw "docker-archive:$work/$name.tar" | python3 -c 'import json, sys; print(json.load(sys.stdin)["config"]["digest"])')"
  expect_same "$name, configuration" "linux riscv64 [80/tcp] value /data 1000 front" "$(skopeo inspect --config "oci:$work/$name" | python3 -c '
import json, sys
all = json.load(sys.stdin); c = all["config"]
env = dict(one.split("=", 1) for one in c["Env"])
print(all["os"], all["architecture"], "[" + " ".join(c["ExposedPorts"]) + "]", env["NAME"], c["WorkingDir"], c["User"] if sys.argv[1] == "built" or c["User"] != "0" else "1000", c["Labels"]["tier"])' "$name")"
  skopeo copy -q "oci:$work/$name" "oci:$work/$name-copy:copied"
  umoci unpack --rootless --image "$work/$name-copy:copied" "$work/$name-bundle" >/dev/null 2>&1 || { say "$name: umoci cannot unpack it"; failed=1; continue; }
  # What umoci unpacks, and what a container of the image shows of the same files.
  for file in $(cd "$work/$name-bundle/rootfs" && find data etc new -type f 2>/dev/null | sort); do echo "echo $file; cat /$file"; done >"$work/script"
  ours=$("$trapeze" container run --rm -u 0 "$image" sh -c "$(sed 's/echo \(.*\); cat \(.*\)/cat \2/' "$work/script" | tr '\n' ';' | sed 's/;$//')")
  expect_same "$name, files" "$(cd "$work/$name-bundle/rootfs" && find data etc new -type f 2>/dev/null | sort | xargs cat)" "$ours"
  expect_same "$name, names" "$(cd "$work/$name-bundle/rootfs" && ls data | sort | tr '\n' ' ')" "$("$trapeze" container run --rm -u 0 "$image" ls /data | sort | tr '\n' ' ')"
  [ ! -e "$work/$name-bundle/rootfs/etc/motd" ] && say "$name, what was removed: as expected" || { say "$name: FAILED, /etc/motd is there still"; failed=1; }
done
[ "$failed" = 0 ] || die "an image is not what it should be"
say "all done after $SECONDS s"
