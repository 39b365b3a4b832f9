//! A hint to the memory, without any effect on results.

#![cfg_attr(
    any(target_arch = "x86_64", target_arch = "aarch64"),
    expect(unsafe_code, reason = "the hint is an intrinsic, or an instruction")
)]

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
const CACHE_LINE_BYTES: usize = 64;

/// Asks the memory for cells that will be read later, while much else passes through the nearest cache.
pub(in crate::num) fn prefetch_far<T>(cells: &[T]) {
    #[cfg(target_arch = "x86_64")]
    for line in (0..size_of_val(cells)).step_by(CACHE_LINE_BYTES) {
        use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
        // SAFETY: the offset is within the slice; every x86-64 has the instruction, and it never faults.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(cells.as_ptr().byte_add(line).cast()) };
    }
    #[cfg(target_arch = "aarch64")]
    for line in (0..size_of_val(cells)).step_by(CACHE_LINE_BYTES) {
        // SAFETY: the offset is within the slice; every aarch64 has the instruction, and it never faults.
        unsafe {
            let at = cells.as_ptr().byte_add(line);
            std::arch::asm!("prfm pldl2keep, [{at}]", at = in(reg) at, options(nostack, preserves_flags, readonly));
        }
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let _ = cells;
}

/// Asks the memory for cells that will be read soon.
pub(in crate::num) fn prefetch<T>(cells: &[T]) {
    #[cfg(target_arch = "x86_64")]
    for line in (0..size_of_val(cells)).step_by(CACHE_LINE_BYTES) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: the offset is within the slice; every x86-64 has the instruction, and it never faults.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(cells.as_ptr().byte_add(line).cast()) };
    }
    #[cfg(target_arch = "aarch64")]
    for line in (0..size_of_val(cells)).step_by(CACHE_LINE_BYTES) {
        // SAFETY: the offset is within the slice; every aarch64 has the instruction, and it never faults.
        unsafe {
            let at = cells.as_ptr().byte_add(line);
            std::arch::asm!("prfm pldl1keep, [{at}]", at = in(reg) at, options(nostack, preserves_flags, readonly));
        }
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let _ = cells;
}
