//! Every product, instruction set, odd shape and number of tasks against the plain triple loop, bit by bit.

#![expect(clippy::disallowed_methods, reason = "the reference is a loop of f32::mul_add")]

use super::*;
use crate::num::golden::{bits, values};

/// (form, A transposed, B transposed)
const FORMS: [(Form, bool, bool); 3] = [(Form::Nn, false, false), (Form::Tn, true, false), (Form::Nt, false, true)];

fn reference((at, bt): (bool, bool), start: Start, [m, n, k]: [usize; 3], a: &[f32], b: &[f32], c: &mut [f32]) {
    for i in 0..m {
        for j in 0..n {
            let mut sum = if start == Start::Zero { 0.0 } else { c[i * n + j] };
            for l in 0..k {
                let x = if at { a[l * m + i] } else { a[i * k + l] };
                let y = if bt { b[j * k + l] } else { b[l * n + j] };
                sum = x.mul_add(y, sum);
            }
            c[i * n + j] = sum;
        }
    }
}

fn compare(m: usize, n: usize, k: usize, lanes: &[usize]) {
    let (a, b, before) = (values("a", m * k), values("b", k * n), values("c", m * n));
    for (form, at, bt) in FORMS {
        for start in [Start::Zero, Start::Existing] {
            let mut expected = before.clone();
            reference((at, bt), start, [m, n, k], &a, &b, &mut expected);
            for isa in Isa::available() {
                for &lanes in lanes {
                    let mut got = before.clone();
                    let product = Gemm { isa, start, ..Gemm::of(Team::of(lanes), form, [m, n, k]) };
                    product.run(&mut Packed::new(), &a, &b, &mut got);
                    assert!(bits(&got) == bits(&expected), "{form:?} {isa:?} {start:?} m={m} n={n} k={k} lanes={lanes}");
                }
            }
        }
    }
}

/// C in strips, put together again; the cells ahead are asked for and change nothing.
#[test]
fn strips_and_aligned_operands_agree_with_the_triple_loop() {
    let cells = vec![7; 5000];
    let ahead: Vec<&[u8]> = cells.chunks(100).collect();
    for [m, n, k] in
        [[1, 16, 5], [47, 32, 33], [48, 128, 40], [49, 100, 20], [200, 128, 700], [130, 272, 30], [64, 272, 30], [97, 16, 0]]
    {
        let (a, values_b) = (values("a", m * k), values("b", k * n));
        let mut b = Floats::zeros_behind(3, k * n);
        b.copy_from_slice(&values_b);
        for (form, at, bt) in FORMS {
            let mut expected = vec![0.0; m * n];
            reference((at, bt), Start::Zero, [m, n, k], &a, &b, &mut expected);
            for isa in Isa::available() {
                for lanes in [1, 2, 3] {
                    let product = Gemm { isa, ahead: &ahead, ..Gemm::of(Team::of(lanes), form, [m, n, k]) };
                    let what = format!("{form:?} {isa:?} m={m} n={n} k={k} lanes={lanes}");
                    let mut got = vec![f32::NAN; m * n];
                    product.run(&mut Packed::new(), &a, &b, &mut got);
                    assert!(bits(&got) == bits(&expected), "{what}");
                    got.fill(f32::NAN);
                    let strips = got.chunks_mut(STRIP * n);
                    product.run_in_strips(&mut Packed::new(), &a, &b, strips, |c, to| to.copy_from_slice(c));
                    assert!(bits(&got) == bits(&expected), "{what}, in strips");
                }
            }
        }
    }
}

#[test]
fn small_shapes_agree_with_the_triple_loop() {
    for size in 1..=40 {
        compare(size, 41 - size, (size * 7) % 40 + 1, &[1, 2]);
        compare((size * 11) % 40 + 1, size, (size * 13) % 40 + 1, &[1]);
        compare(7, 17, size, &[1]);
        compare(size, 10, 3, &[1]);
        compare(5, size, 2, &[1]);
    }
}

#[test]
fn deep_and_split_shapes_agree_with_the_triple_loop() {
    // Past the depth of a block, and with enough work for three tasks.
    compare(37, 50, 1000, &[1, 2, 3]);
    compare(131, 100, 321, &[1, 2, 3]);
    compare(3, 300, 2000, &[1, 3]);
    compare(256, 10, 784, &[1, 2, 3]);
}

#[test]
fn special_values_follow_the_chain() {
    let specials = [0.0, -0.0, 1.0, -1.0, f32::MAX, f32::MIN, f32::MIN_POSITIVE, 1e-40, -1e-45, 3e38, -3e38, 1e-30];
    let (m, n, k) = (7, 19, 12);
    let pick =
        |len: usize, step: usize| -> Vec<f32> { (0..len).map(|i| specials[(i * step + i / 5) % specials.len()]).collect() };
    let (a, b) = (pick(m * k, 5), pick(k * n, 7));
    for (form, at, bt) in FORMS {
        let mut expected = vec![0.0; m * n];
        reference((at, bt), Start::Zero, [m, n, k], &a, &b, &mut expected);
        for isa in Isa::available() {
            let mut got = vec![f32::NAN; m * n];
            Gemm { isa, ..Gemm::of(Team::solo(), form, [m, n, k]) }.run(&mut Packed::new(), &a, &b, &mut got);
            // The payload of a NaN is not promised, that it is one is.
            let same = got.iter().zip(&expected).all(|(x, y)| x.to_bits() == y.to_bits() || x.is_nan() && y.is_nan());
            assert!(same, "{form:?} {isa:?}");
        }
    }
}

#[test]
fn empty_shapes_and_a_used_buffer() {
    let mut packed = Packed::new();
    let mut c = [7.0; 6];
    Gemm::of(Team::of(2), Form::Nn, [2, 3, 0]).run(&mut packed, &[], &[], &mut c);
    assert_eq!(c, [0.0; 6]);
    Gemm::of(Team::of(2), Form::Nn, [0, 3, 2]).run(&mut packed, &[], &[1.0; 6], &mut []);
    // A smaller product after a larger one, with another padding, must not see the old panels.
    Gemm::of(Team::solo(), Form::Nn, [1, 32, 4]).run(&mut packed, &[f32::MAX; 4], &[f32::MAX; 128], &mut [0.0; 32]);
    let mut c = [0.0; 3];
    Gemm::of(Team::solo(), Form::Nt, [1, 3, 2]).run(&mut packed, &[1.0, 2.0], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], &mut c);
    assert_eq!(c, [5.0, 11.0, 17.0]);
}

#[test]
#[should_panic(expected = "the length of B is not k * n")]
fn a_wrong_shape_is_refused() {
    Gemm::of(Team::solo(), Form::Nn, [1, 2, 2]).run(&mut Packed::new(), &[0.0; 2], &[0.0; 3], &mut [0.0; 2]);
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(40))]
    #[test]
    fn any_shape_agrees_with_the_triple_loop(m in 1usize..41, n in 1usize..120, k in 1usize..41) {
        compare(m, n, k, &[1, 2, 3]);
    }
}
