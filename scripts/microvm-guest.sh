#!/usr/bin/env bash
# Builds the microVM's guest from Debian's packages: `microvm-guest.sh OUT` fills the folder OUT with
#   kernel      the stock cloud kernel, as packaged
#   initrd      the few modules that it needs to find its disks, and busybox
#   root.ext4   a read-only root: Python, SpiderMonkey's shell, busybox, the agent
#   home.ext4   an empty disk for the world's own files (sparse)
#   packages    name, version and SHA-256 of every package used
# Needs apt-get, dpkg-deb, cpio and mke2fs; neither root nor an installation of the packages.
# `microvm-guest.sh vmlinux KERNEL OUT` unpacks a kernel to the bare ELF image that Firecracker boots.
set -euo pipefail
export LC_ALL=C PATH="$PATH:/usr/sbin:/sbin"

HOME_SIZE=256M

main() {
  if [ "$1" = vmlinux ]; then
    unpack_kernel "$2" "$3"
    return
  fi
  local out=$1 agent
  agent=$(cd "$(dirname "$0")/../providers/microvm/guest" && pwd)
  # Not local: the trap outlives this function.
  work=$(mktemp -d "$out/build.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  mkdir "$work/packages" "$work/root" "$work/kernel" "$work/initrd"
  download
  build_initrd "$agent" "$out"
  build_root "$agent" "$out"
  mke2fs -q -t ext4 -O ^has_journal -m 0 -E lazy_itable_init=1,root_owner=1000:1000 \
    "$out/home.ext4" "$HOME_SIZE"
}

# The first package that a package depends on.
first_dependency() {
  apt-cache "${apt[@]}" depends "$1" 2>/dev/null | awk '$1 == "Depends:" || $1 == "PreDepends:" { print $2; exit }'
}

# Everything that is needed to run the named packages' programs, and nothing for installing them.
closure() {
  apt-cache "${apt[@]}" depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces \
    --no-enhances "$@" | grep -E '^[a-z0-9]' | sort -u |
    grep -E '^(libc6|libgcc-s1|libstdc\+\+6|zlib1g|libexpat1|libffi[0-9]+|libbz2-1\.0|liblzma[0-9]+|libuuid1|libreadline[0-9t]+|libtinfo[0-9]+|lib?python3.*|python3.*)$'
}

# Fetches the packages into $work/packages; fails when the lists at hand name none, or name what is there no more.
fetch() {
  local kernel javascript
  local -a names
  kernel=$(first_dependency linux-image-cloud-amd64)
  javascript=$(apt-cache "${apt[@]}" pkgnames libmozjs- | grep -E '^libmozjs-[0-9]+-dev$' | sort -t- -k2 -n | tail -1)
  if [ -z "$kernel" ] || [ -z "$javascript" ]; then
    echo 'no kernel or no libmozjs among the packages that apt knows' >>"$work/apt"
    return 1
  fi
  mapfile -t names < <(closure python3-minimal libpython3-stdlib libstdc++6 zlib1g libreadline8)
  (cd "$work/packages" && apt-get "${apt[@]}" -q download "$kernel" "$javascript" busybox-static "${names[@]}") \
    >>"$work/apt" 2>&1
}

download() {
  # The machine's own package lists may be missing or too old: fetched anew, beside them.
  apt=()
  fetch || {
    mkdir -p "$work/lists/partial"
    apt=(-o "Dir::State::lists=$work/lists" -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache=
      -o Debug::NoLocking=1 -o APT::Sandbox::User=)
    apt-get "${apt[@]}" -qq update >>"$work/apt" 2>&1 || true
    fetch
  } || {
    cat "$work/apt" >&2
    exit 1
  }
  local package target
  for package in "$work"/packages/*.deb; do
    target=root
    case $package in */linux-image-*) target=kernel ;; esac
    dpkg-deb -x "$package" "$work/$target"
    echo "$(dpkg-deb -f "$package" Package) $(dpkg-deb -f "$package" Version) $(sha256sum <"$package" | cut -d' ' -f1)"
  done >"$work/list"
}

build_initrd() {
  local modules name path
  cp "$work"/kernel/boot/vmlinuz-* "$2/kernel"
  mkdir "$work/initrd/modules" "$work/initrd/bin"
  modules='crc32c_generic mbcache crc16 jbd2 ext4 virtio_ring virtio virtio_mmio virtio_blk virtio_console
    vsock vmw_vsock_virtio_transport_common vmw_vsock_virtio_transport'
  # A module that is not there is part of this kernel.
  for name in $modules; do
    path=$(find "$work/kernel" -name "$name.ko*" | head -1)
    case $path in
      '') continue ;;
      *.xz) xz -dc "$path" >"$work/initrd/modules/$name.ko" ;;
      *.zst) zstd -qdc "$path" >"$work/initrd/modules/$name.ko" ;;
      *) cp "$path" "$work/initrd/modules/$name.ko" ;;
    esac
    echo "$name.ko" >>"$work/initrd/modules.order"
  done
  cp "$work/root/bin/busybox" "$work/initrd/bin/" 2>/dev/null || cp "$work/root/usr/bin/busybox" "$work/initrd/bin/"
  install -m 755 "$1/initrd-init" "$work/initrd/init"
  (cd "$work/initrd" && find . | sort | cpio --quiet -o -H newc -R 0:0) >"$2/initrd"
}

build_root() {
  local root=$work/root folder applet bytes
  # Packages of both layouts, /bin and /usr/bin, meet in one.
  for folder in bin sbin lib lib64; do
    mkdir -p "$root/usr/$folder"
    if [ -d "$root/$folder" ] && [ ! -L "$root/$folder" ]; then
      cp -a "$root/$folder/." "$root/usr/$folder/"
      rm -rf "${root:?}/$folder"
    fi
    ln -sfn "usr/$folder" "$root/$folder"
  done
  mv "$root"/usr/bin/js[0-9]*[0-9] "$root/usr/bin/js"
  ln -sf "$(basename "$(ls "$root"/usr/bin/python3.*[0-9])")" "$root/usr/bin/python3"
  for applet in $(busybox_applets); do
    [ -e "$root/usr/bin/$applet" ] || ln -s busybox "$root/usr/bin/$applet"
  done
  rm -rf "$root"/usr/include "$root"/usr/share "$root"/usr/lib/pkgconfig "$root"/var
  mkdir -p "$root"/{proc,sys,dev,run,tmp,etc,opt/agent,home/world,var}
  printf 'root:x:0:0::/:/bin/sh\nworld:x:1000:1000::/home/world:/bin/sh\n' >"$root/etc/passwd"
  printf 'root:x:0:\nworld:x:1000:\n' >"$root/etc/group"
  cp "$1"/*.py "$1/worker.js" "$root/opt/agent/"
  install -m 755 "$1/init" "$root/usr/sbin/init"
  compile_python
  bytes=$(du -sB1 --apparent-size "$root" | cut -f1)
  mke2fs -q -t ext4 -O ^has_journal -m 0 -E root_owner=0:0 -d "$root" \
    "$2/root.ext4" "$((bytes / 1048576 + bytes / 8388608 + 16))M"
  cp "$work/list" "$2/packages"
}

# Compiles the guest's Python modules with the guest's own Python, so that the guest need not at every import.
compile_python() {
  local library
  library=$(dirname "$(find "$root/usr/lib" -name libc.so.6 | head -1)")
  PYTHONHOME="$root/usr" "$root"/usr/lib64/ld-linux-x86-64.so.2 --library-path "$library" \
    "$root/usr/bin/$(readlink "$root/usr/bin/python3")" -I -S -m compileall -q -j 1 \
    --invalidation-mode unchecked-hash -s "$root" -x '/(test|idlelib|lib2to3)/' \
    "$root"/usr/lib/python3.* "$root/opt/agent"
}

# What the guest's shell can do; asked of the guest's own busybox, which is static.
busybox_applets() {
  "$root/usr/bin/busybox" --list
}

# A kernel image carries itself compressed; the payload is found by its first bytes.
unpack_kernel() {
  local tool magic offset
  for tool in 'zstd -qdc' 'xz -dc' 'gzip -dc' 'lz4 -dc'; do
    case $tool in
      zstd*) magic='\x28\xb5\x2f\xfd' ;;
      xz*) magic='\xfd7zXZ\x00' ;;
      gzip*) magic='\x1f\x8b\x08' ;;
      lz4*) magic='\x02\x21\x4c\x18' ;;
    esac
    command -v "${tool%% *}" >/dev/null || continue
    for offset in $(grep -aboP "$magic" "$1" | cut -d: -f1); do
      tail -c "+$((offset + 1))" "$1" | $tool >"$2" 2>/dev/null || true
      [ "$(head -c 4 "$2" | tail -c 3)" = ELF ] && return
    done
  done
  rm -f "$2"
  echo "no kernel found in $1: is zstd or xz installed?" >&2
  exit 1
}

main "$@"
