//! A changed floating-point environment, for the test of its check.

#![expect(unsafe_code, reason = "sets the control register of a thread of its own")]

/// Runs `body` on a thread of its own with bits of the control register set: 6 subnormal inputs are zero, 13 and 14 rounding,
/// 15 flush to zero. For the test of the environment check; no other code may run in such a state.
pub(in crate::num) fn with_control_bits<T: Send>(flags: u32, body: impl FnOnce() -> T + Send) -> std::thread::Result<T> {
    std::thread::scope(|scope| {
        let run = || {
            let (mut before, mut during) = (0u32, 0u32);
            // SAFETY: the register is the thread's own, and is as before when the thread goes on. Rust assumes the default state, and
            // `body` only does sums that the compiler can't see through.
            unsafe {
                std::arch::asm!("stmxcsr [{}]", in(reg) &mut before);
                during |= before | flags;
                std::arch::asm!("ldmxcsr [{}]", in(reg) &during);
            }
            let out = body();
            // SAFETY: as above.
            unsafe { std::arch::asm!("ldmxcsr [{}]", in(reg) &before) };
            out
        };
        scope.spawn(run).join()
    })
}
