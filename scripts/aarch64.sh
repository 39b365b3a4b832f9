#!/bin/bash
# Runs the kernels of aarch64 where no CPU is one: in QEMU's user mode.
#
#     scripts/aarch64.sh SCRATCH
#
# Cross-compiles the unit tests and runs those of kernels and learners twice, on an emulated CPU with dot products of bytes and on one
# without, so that every golden digest is held against NEON and plain kernels; then compares what whole networks become with what they
# become here. Takes a few minutes. Exit code 0 only if all agreed.
#
# Needs Debian's packages gcc-aarch64-linux-gnu, libc6-dev-arm64-cross and qemu-user, and `rustup target add aarch64-unknown-linux-gnu`.
set -euo pipefail
[ $# = 1 ] || { sed -n '2,11s/^# \{0,1\}//p' "$0"; exit 2; }
root=$(cd "$(dirname "$0")/.." && pwd)
mkdir -p "$1"
scratch=$(cd "$1" && pwd)
target=aarch64-unknown-linux-gnu
cd "$root"
export CARGO_TARGET_DIR="$scratch/target" CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
build() {
    cargo test --lib --no-default-features --no-run --message-format=json "$@" |
        sed -n 's|.*"executable":"\([^"]*/deps/[^"]*\)".*|\1|p'
}
there=$(build --target $target)
here=$(build)
emulated() { qemu-aarch64 -cpu "$1" -L /usr/aarch64-linux-gnu "$there" "${@:2}"; }
for cpu in max cortex-a53; do
    # One test starts itself again, which the emulator can't; what it compares is compared below.
    emulated $cpu num:: learn:: --skip every_instruction_set_gives_the_same_bytes
done
digest() { "$@" learn::net::tests::digest_of_this_process --exact --ignored --nocapture | sed -n 's/^digest [a-z0-9]* //p'; }
expected=$(digest "$here")
[ -n "$expected" ]
for kernels in scalar neon; do
    found=$(SISA_KERNELS=$kernels digest emulated max)
    [ "$found" = "$expected" ] || { echo "$kernels kernels of aarch64: $found, and here $expected" >&2; exit 1; }
done
echo "aarch64 computes the same bits, with NEON, with its dot products, and without either"
