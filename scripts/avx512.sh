#!/bin/bash
# Runs the AVX-512 kernels where no CPU has them: in Bochs, which emulates one that does.
#
#     scripts/avx512.sh SCRATCH
#
# Builds the unit tests and tests/exact.rs as static programs, boots a Linux with them in an emulated Skylake-X, forces the AVX-512
# kernels (SISA_KERNELS=avx512), and holds every golden digest against what they compute. Takes a few minutes after the build. Exit code 0
# only if the guest had AVX-512F and every test ran and passed. Skylake-X has no VNNI, so of the integer products it takes the road without.
#
# Needs Debian's packages bochs bochsbios bochs-term vgabios isolinux syslinux-common xorriso cpio busybox-static bsdutils. The kernel is
# downloaded (apt-get download) and unpacked into SCRATCH, not installed.
set -euo pipefail
[ $# = 1 ] || { sed -n '2,11s/^# \{0,1\}//p' "$0"; exit 2; }
root=$(cd "$(dirname "$0")/.." && pwd)
mkdir -p "$1"
scratch=$(cd "$1" && pwd)
target=x86_64-unknown-linux-gnu

# Static programs need no libraries in the guest; --target keeps the flag away from build scripts.
build() {
    cd "$root"
    RUSTFLAGS="-C target-feature=+crt-static" CARGO_TARGET_DIR="$scratch/target" \
        cargo test --release --target $target --no-run --message-format=json "$@" |
        sed -n 's|.*"executable":"\([^"]*/deps/[^"]*\)".*|\1|p'
}
rm -rf "$scratch/root" "$scratch/iso"
mkdir -p "$scratch"/root/{proc,dev,tmp} "$scratch/iso/isolinux"
strip -o "$scratch/root/unit" "$(build --lib)"
strip -o "$scratch/root/exact" "$(build --test exact)"
cp "$(command -v busybox)" "$scratch/root/busybox"

cat > "$scratch/root/init" <<'INIT'
#!/busybox sh
/busybox mount -t proc p /proc
/busybox mount -t devtmpfs d /dev
/busybox mount -t tmpfs t /tmp
exec > /dev/ttyS0 2>&1
/busybox grep -qw avx512f /proc/cpuinfo && echo "the guest has AVX-512F"
export SISA_KERNELS=avx512
for test in "unit num::" "unit golden" "exact golden"; do
    echo "== $test"
    /$test --test-threads=1 && echo "== passed"
done
echo "== the end"
/busybox poweroff -f
INIT
chmod +x "$scratch/root/init"

if [ ! -e "$scratch/vmlinuz" ]; then
    (
        mkdir -p "$scratch/kernel"
        cd "$scratch/kernel"
        package=$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/.*Depends: \(linux-image-[0-9].*\)/\1/p')
        apt-get download "$package"
        dpkg-deb -x ./*.deb .
        cp boot/vmlinuz-* "$scratch/vmlinuz"
    )
fi
cp "$scratch/vmlinuz" "$scratch/iso/vmlinuz"
(cd "$scratch/root" && find . | cpio --quiet -o -H newc | gzip -1) > "$scratch/iso/initrd.gz"
cp /usr/lib/ISOLINUX/isolinux.bin /usr/lib/syslinux/modules/bios/ldlinux.c32 "$scratch/iso/isolinux"
# Bochs 2.7 saves registers by XSAVE, but not by its compacted forms as the kernel expects them.
cat > "$scratch/iso/isolinux/isolinux.cfg" <<'BOOT'
DEFAULT test
PROMPT 0
LABEL test
 KERNEL /vmlinuz
 INITRD /initrd.gz
 APPEND console=ttyS0,115200 quiet mitigations=off nokaslr noapic tsc=reliable panic=-1 clearcpuid=xsavec,xsaves
BOOT
xorriso -as mkisofs -quiet -o "$scratch/boot.iso" -b isolinux/isolinux.bin -c isolinux/boot.cat -no-emul-boot -boot-load-size 4 \
    -boot-info-table "$scratch/iso"

cd "$scratch"
cat > bochsrc <<'BOCHS'
config_interface: textconfig
display_library: term
cpu: model=corei7_skylake_x, count=1, ips=100000000, reset_on_triple_fault=0
memory: guest=1024, host=1024
romimage: file=/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest
ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
ata0-master: type=cdrom, path=boot.iso, status=inserted
boot: cdrom
com1: enabled=1, mode=file, dev=serial.txt
clock: sync=none, time0=1700000000
sound: driver=dummy
log: bochs.log
panic: action=fatal
error: action=ignore
info: action=ignore
debug: action=ignore
plugin_ctrl: speaker=0, unmapped=1, biosdev=1, parallel=0, gameport=0, extfpuirq=1
BOCHS
rm -f serial.txt
echo c > go
# The display wants a terminal; the debugger wants to be told to go.
TERM=vt100 timeout 3600 script -qec "bochs -q -f bochsrc -rc go" bochs-screen.txt < /dev/null > /dev/null 2>&1 || true
grep -av '^\[' serial.txt || true
grep -aq 'the guest has AVX-512F' serial.txt && ! grep -aq '^running 0 tests' serial.txt && [ "$(grep -ac '^== passed' serial.txt)" = 3 ] && grep -aq '^== the end' serial.txt
