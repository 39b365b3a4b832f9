#!/bin/bash
# Runs the kernels of aarch64 where no CPU is one: in QEMU's user mode.
#
#     scripts/aarch64.sh [--golden] SCRATCH
#
# Cross-compiles the unit tests and runs those of kernels and learners twice, on an emulated CPU with dot products of bytes and on one
# without, so that every golden digest is held against NEON and plain kernels; then compares what whole networks become with what they
# become here. Takes a few minutes. Exit code 0 only if all agreed.
#
# With --golden no more than the golden digests: of every kernel on every instruction set of the emulated CPU, and of the states of
# ridge, forest and boost. Installs what is missing; where it can't, it says SKIPPED, and that is no failure.
#
# Needs Debian's packages gcc-aarch64-linux-gnu, libc6-dev-arm64-cross and qemu-user, and `rustup target add aarch64-unknown-linux-gnu`.
set -euo pipefail
golden=
[ "${1-}" != --golden ] || { golden=yes; shift; }
[ $# = 1 ] || { sed -n '2,14s/^# \{0,1\}//p' "$0"; exit 2; }
root=$(cd "$(dirname "$0")/.." && pwd)
mkdir -p "$1"
scratch=$(cd "$1" && pwd)
target=aarch64-unknown-linux-gnu
cd "$root"
skipped() { echo "SKIPPED: nothing was run for aarch64, as $1"; exit 0; }
if [ "$golden" ]; then
    { command -v aarch64-linux-gnu-gcc && command -v qemu-aarch64 && [ -e /usr/aarch64-linux-gnu/lib/libc.so.6 ]; } >/dev/null ||
        { apt-get update && apt-get install -y --no-install-recommends gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user; } >/dev/null 2>&1 ||
        skipped "gcc-aarch64-linux-gnu, libc6-dev-arm64-cross and qemu-user can't be installed"
    rustc --print target-libdir --target $target 2>/dev/null | xargs -r ls >/dev/null 2>&1 ||
        timeout 120 rustup target add $target 2>/dev/null || skipped "rustup can't add the target $target"
fi
export CARGO_TARGET_DIR="$scratch/target" CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
# What runs for seconds need not be optimised for minutes.
plain=()
for setting in dev.opt-level=0 test.opt-level=0 'dev.package."*".opt-level=0' dev.debug=0 dev.incremental=false; do
    [ -z "$golden" ] || plain+=(--config "profile.$setting")
done
build() {
    cargo "${plain[@]}" test --lib --no-default-features --no-run --message-format=json "$@" |
        sed -n 's|.*"executable":"\([^"]*/deps/[^"]*\)".*|\1|p'
}
there=$(build --target $target)
emulated() { qemu-aarch64 -cpu "$1" -L /usr/aarch64-linux-gnu "$there" "${@:2}"; }
if [ "$golden" ]; then
    for cpu in max cortex-a53; do
        said=$(emulated $cpu golden) || { echo "$said"; exit 1; }
        echo "$said"
        # Names of tests change; none that ran is no proof.
        ran=$(sed -n 's/^test result: ok\. \([0-9]*\) passed.*/\1/p' <<<"$said")
        [ "${ran:-0}" -ge 4 ] || { echo "only ${ran:-no} golden tests ran on $cpu" >&2; exit 1; }
    done
    echo "aarch64 computes the golden bits, with NEON, with its dot products, and without either"
    exit
fi
here=$(build)
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
