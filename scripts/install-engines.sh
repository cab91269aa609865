#!/usr/bin/env bash
# Installs what worlds in gVisor and microVMs need, from Debian's packages: the engines, and the tools that build what the
# worlds are made from. What is there is left alone. Needs to be root, or sudo that asks nothing.
set -euo pipefail
export LC_ALL=C DEBIAN_FRONTEND=noninteractive PATH="$PATH:/usr/sbin:/sbin"

# Programs, and the package that has each.
NEEDED='runsc:runsc qemu-system-x86_64:qemu-system-x86 qemu-img:qemu-utils setpriv:util-linux unshare:util-linux
  cpio:cpio mke2fs:e2fsprogs xz:xz-utils zstd:zstd'

fail() {
  echo "error ENGINES_MISSING: $1" >&2
  exit 1
}

missing=$(for each in $NEEDED; do
  command -v "${each%%:*}" >/dev/null || echo "${each##*:}"
done)
[ -n "$missing" ] || exit 0
list=$(echo $missing)

command -v apt-get >/dev/null || fail "no $list here, and no apt-get to install them with"
as_root=
if [ "$(id -u)" != 0 ]; then
  sudo -n true 2>/dev/null || fail "no $list here: apt-get install $list, as root"
  as_root='sudo -n --preserve-env=LC_ALL,DEBIAN_FRONTEND'
fi

from=$(date +%s)
echo "setup: installing $list (apt-get) ..." >&2
said=$(mktemp)
trap 'rm -f "$said"' EXIT
options='-qq -o Acquire::Retries=2 -o Acquire::http::Timeout=30 -o DPkg::Lock::Timeout=120'
{
  # A source of the machine's own that cannot be reached is no matter, as long as Debian's can.
  $as_root apt-get $options update || true
  $as_root apt-get $options install -y --no-install-recommends --no-upgrade $missing
} >"$said" 2>&1 </dev/null || fail "apt-get cannot install $list: $(grep '^E:' "$said" | tail -1)"
echo "setup: installed $list in $(($(date +%s) - from)) s" >&2
