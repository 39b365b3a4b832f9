//! Which vector instructions the kernels use, chosen at run time, and the state of the floating-point unit they rely on.

use std::hint::black_box;
use std::sync::OnceLock;

/// The environment variable that forces one instruction set: `scalar`, `avx2`, `avx512` or `neon`.
pub const VARIABLE: &str = "SISA_KERNELS";

/// An instruction set for which the kernels are compiled. All give the same bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isa {
    /// Plain Rust with `f32::mul_add`: the reference, and the code for every other architecture.
    Scalar,
    /// x86-64 with AVX2 and FMA.
    Avx2,
    /// x86-64 with AVX-512F.
    Avx512,
    /// aarch64, with dot products where the CPU has them.
    Neon,
}

/// All of them, narrowest first.
const ALL: [Isa; 4] = [Isa::Scalar, Isa::Avx2, Isa::Avx512, Isa::Neon];

/// Why a kernel set or the floating-point environment can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IsaError {
    /// The variable holds a word that names no instruction set.
    #[error("{VARIABLE} is `{got}`, which names no kernels; set it to scalar, avx2, avx512 or neon, or unset it")]
    Unknown {
        /// The text found, with invalid UTF-8 replaced.
        got: String,
    },
    /// The variable asks for an instruction set that this CPU lacks.
    #[error("{VARIABLE} asks for {wanted}, which this CPU does not have (it has: {available}); choose one of these, or unset it")]
    Missing {
        /// The name of the set asked for.
        wanted: &'static str,
        /// The names of the sets at hand.
        available: String,
    },
    /// Arithmetic on this thread is not IEEE 754 with rounding to nearest and subnormals kept.
    #[error(
        "floating-point arithmetic on this thread is changed: {what}; results would not be reproducible. \
             Look for a library or compiler option (such as -ffast-math) that sets it, and start again without it"
    )]
    Environment {
        /// What was found to differ.
        what: &'static str,
    },
}

impl Isa {
    /// The set in use: the one that [`VARIABLE`] names, else the widest that the CPU has. Decided once.
    ///
    /// A value that can't be honoured is ignored here; the command line reports it from [`Isa::from_env_checked`].
    pub fn active() -> Isa {
        static ACTIVE: OnceLock<Isa> = OnceLock::new();
        *ACTIVE.get_or_init(|| Isa::from_env_checked().unwrap_or_else(|_| Isa::widest()))
    }

    /// Every set that this CPU can run, narrowest first; [`Isa::Scalar`] is always among them.
    pub fn available() -> Vec<Isa> {
        ALL.into_iter().filter(|isa| isa.is_available()).collect()
    }

    /// The set that the environment names, or the widest where it names none.
    ///
    /// # Errors
    ///
    /// [`IsaError::Unknown`] and [`IsaError::Missing`].
    pub fn from_env_checked() -> Result<Isa, IsaError> {
        match std::env::var_os(VARIABLE) {
            None => Ok(Isa::widest()),
            Some(value) => Isa::parse(&value.to_string_lossy()),
        }
    }

    /// The name by which [`VARIABLE`] knows the set.
    pub fn name(self) -> &'static str {
        match self {
            Isa::Scalar => "scalar",
            Isa::Avx2 => "avx2",
            Isa::Avx512 => "avx512",
            Isa::Neon => "neon",
        }
    }

    /// Whether this CPU can run the set.
    pub fn is_available(self) -> bool {
        match self {
            Isa::Scalar => true,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => Isa::Avx2.is_available() && is_x86_feature_detected!("avx512f"),
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => std::arch::is_aarch64_feature_detected!("neon"),
            // Of another architecture.
            _ => false,
        }
    }

    fn widest() -> Isa {
        Isa::available().last().copied().unwrap_or(Isa::Scalar)
    }

    fn parse(text: &str) -> Result<Isa, IsaError> {
        let found = ALL.into_iter().find(|isa| isa.name() == text);
        match found {
            None => Err(IsaError::Unknown { got: text.to_owned() }),
            Some(isa) if isa.is_available() => Ok(isa),
            Some(isa) => {
                let names: Vec<&str> = Isa::available().into_iter().map(Isa::name).collect();
                Err(IsaError::Missing { wanted: isa.name(), available: names.join(", ") })
            }
        }
    }
}

/// Tests the calling thread's arithmetic: subnormals as inputs and as results, rounding to nearest even in both
/// signs, and a multiply-add that rounds once. The state belongs to a thread, so each worker calls this at its start.
///
/// # Errors
///
/// [`IsaError::Environment`] naming the first difference.
pub fn check_float_environment() -> Result<(), IsaError> {
    // `black_box` keeps the compiler from doing the sums itself, in its own environment.
    let least = black_box(f32::from_bits(1));
    let smallest_normal = black_box(f32::MIN_POSITIVE);
    let one = black_box(1.0f32);
    let ulp = black_box(f32::EPSILON);
    let half = black_box(0.5f32);
    let fail = |what| Err(IsaError::Environment { what });
    if black_box(smallest_normal * half).to_bits() != 0x0040_0000 {
        return fail("results below the smallest normal number are flushed to zero");
    }
    // 2^-149 * 2^100 is normal, so only reading the input as zero can lose it.
    if black_box(least * black_box(f32::from_bits(0x7180_0000))) == 0.0 {
        return fail("subnormal inputs are read as zero");
    }
    let up = black_box(one + ulp * half * half) == one;
    let down = black_box(-one - ulp * half * half) == -one;
    let tie = black_box((one + ulp) + ulp * half) == 1.0 + 2.0 * f32::EPSILON;
    if !(up && down && tie) {
        return fail("rounding is not to the nearest even number");
    }
    // (1 + e)^2 - (1 + 2e) is e^2 when rounded once and 0 when the product is rounded first.
    if fused(one + ulp, one + ulp, -(one + ulp + ulp)) != ulp * ulp {
        return fail("the fused multiply-add rounds twice");
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "this module tests the operation that it lets the kernels use")]
fn fused(a: f32, b: f32, c: f32) -> f32 {
    black_box(black_box(a).mul_add(black_box(b), black_box(c)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_parsed_and_wrong_ones_refused() {
        assert_eq!(Isa::parse("scalar"), Ok(Isa::Scalar));
        for isa in ALL {
            assert_eq!(Isa::parse(isa.name()).is_ok(), isa.is_available());
        }
        let error = Isa::parse("AVX2 ").unwrap_err();
        assert_eq!(error, IsaError::Unknown { got: "AVX2 ".to_owned() });
        assert!(error.to_string().contains("scalar, avx2, avx512 or neon"));
        let missing = IsaError::Missing { wanted: "avx512", available: "scalar, avx2".to_owned() };
        assert!(missing.to_string().contains("asks for avx512"));
    }

    #[test]
    fn scalar_is_always_available_and_active_is_available() {
        assert_eq!(Isa::available().first(), Some(&Isa::Scalar));
        assert!(Isa::available().contains(&Isa::active()));
    }

    #[test]
    fn this_thread_computes_as_ieee_754() {
        assert_eq!(check_float_environment(), Ok(()));
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn a_changed_environment_is_found() {
        use crate::num::simd::control::with_control_bits;
        let cases = [
            (1 << 15, "flushed to zero"),
            (1 << 6, "read as zero"),
            (1 << 13, "rounding"),
            (2 << 13, "rounding"),
            (3 << 13, "rounding"),
        ];
        for (flags, words) in cases {
            let error = with_control_bits(flags, check_float_environment).unwrap().unwrap_err();
            assert!(error.to_string().contains(words), "{flags:#x}: {error}");
        }
        assert_eq!(with_control_bits(0, check_float_environment).unwrap(), Ok(()));
    }
}
