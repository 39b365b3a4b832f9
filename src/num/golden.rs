//! Golden digests: the bits of every kernel on derived inputs, the same on every instruction set and target.
//!
//! A digest that changes is a new numerics version: never edit one to make a test pass.

use super::isa::Isa;

/// `length` values in -1..1 derived from a name.
pub(super) fn values(name: &str, length: usize) -> Vec<f32> {
    let mut bytes = vec![0; 4 * length];
    blake3::Hasher::new().update(name.as_bytes()).finalize_xof().fill(&mut bytes);
    let word = |b: &[u8]| u32::from_le_bytes(b.try_into().unwrap());
    bytes.chunks_exact(4).map(|b| (word(b) >> 8) as f32 / 8_388_608.0 - 1.0).collect()
}

/// The bits of values, for comparisons in which -0.0 is not 0.0.
pub(super) fn bits(xs: &[f32]) -> Vec<u32> {
    xs.iter().map(|x| x.to_bits()).collect()
}

fn digest(xs: &[f32]) -> String {
    let mut hasher = blake3::Hasher::new();
    for x in xs {
        hasher.update(&x.to_bits().to_le_bytes());
    }
    hasher.finalize().to_hex()[..16].to_owned()
}

fn scaled(name: &str, length: usize, by: f32) -> Vec<f32> {
    values(name, length).iter().map(|x| x * by).collect()
}

fn kernels(isa: Isa) -> Vec<(&'static str, String)> {
    use super::gemm::{Form, Gemm, Packed, Start};
    use super::{gather, moments, poly, stream, sum, team::Team, update, update::Update};
    let team = Team::of(2);
    let mut out = Vec::new();
    let mut note = |name, xs: &[f32]| out.push((name, digest(xs)));

    let (m, n, k) = (61, 83, 347);
    let (a, b) = (values("golden a", m * k), values("golden b", k * n));
    let mut packed = Packed::new();
    let product = |start, form| Gemm { isa, team, start, ahead: &[], form, m, n, k };
    let mut c = values("golden c", m * n);
    product(Start::Existing, Form::Nn).run(&mut packed, &a, &b, &mut c);
    note("nn", &c);
    product(Start::Zero, Form::Tn).run(&mut packed, &a, &b, &mut c);
    note("tn", &c);
    product(Start::Zero, Form::Nt).run(&mut packed, &a, &b, &mut c);
    note("nt", &c);

    let xs = scaled("golden x", 5003, 110.0);
    note("exp", &xs.iter().map(|&x| poly::exp(x)).collect::<Vec<_>>());
    note("ln", &xs.iter().map(|&x| poly::ln(x.abs())).collect::<Vec<_>>());
    note("log1p", &xs.iter().map(|&x| poly::log1p(x.abs() / 8.0 - 0.9)).collect::<Vec<_>>());
    let mut y = scaled("golden y", 5003, 9.0);
    let mut z = y.clone();
    poly::tanh_all_with(isa, team, &mut y);
    note("tanh", &y);
    let mut d = values("golden d", 5003);
    poly::tanh_backward_with(isa, team, &y, &mut d);
    note("tanh_backward", &d);
    let mut p = z.clone();
    poly::sigmoid_all_with(isa, team, &mut p);
    note("sigmoid", &p);
    poly::relu_all_with(isa, team, &mut z);
    note("relu", &z);
    poly::relu_backward_with(isa, team, &z, &mut d);
    note("relu_backward", &d);
    let mut z = scaled("golden z", 37 * 100, 20.0);
    poly::softmax_rows_with(isa, team, 37, &mut z);
    note("softmax", &z);

    note("sum", &[sum::sum_with(isa, &xs), sum::dot_with(isa, &xs, &y)]);
    let mut columns = vec![0.0; 83];
    sum::columns_with(isa, team, 83, &b, &mut columns);
    note("columns", &columns);
    let mut moments = moments::Moments::of(xs.iter().copied());
    moments.merge(&moments::Moments::of(b.iter().copied()));
    let wide: Vec<f64> = xs.iter().map(|&x| f64::from(x)).collect();
    let halves = |x: f64| [f32::from_bits((x.to_bits() >> 32) as u32), f32::from_bits(x.to_bits() as u32)];
    note("f64", &[moments.mean, moments.m2, sum::sum_f64(&wide), poly::ln_f64(0.3), poly::exp_f64(0.3)].map(halves).concat());

    let (mut w, mut v, mut avg) = (values("golden w", 5003), values("golden v", 5003), values("golden avg", 5003));
    let sgd = update::Sgd { rate: 0.1, momentum: 0.9, l2: 1e-4 };
    Update { isa, team, avg_gain: 0.05, w: &mut w, g: &y, avg: &mut avg }.sgd(sgd, &mut v);
    note("sgd", &[&w[..], &v, &avg].concat());
    let mut m = scaled("golden m", 5003, 0.1);
    v.iter_mut().for_each(|v| *v = v.abs());
    let (corr1, corr2) = (update::correction(0.9, 7), update::correction(0.999, 7));
    let adam = update::Adam { rate: 1e-3, beta1: 0.9, beta2: 0.999, eps: 1e-8, l2: 1e-4, corr1, corr2 };
    Update { isa, team, avg_gain: 0.05, w: &mut w, g: &y, avg: &mut avg }.adam(adam, &mut m, &mut v);
    note("adam", &[&w[..], &m, &v, &avg].concat());

    let (mut dst, bytes) = (vec![0.0; 83], (0..83).collect::<Vec<u8>>());
    gather::scale_f32_with(isa, &a[..83], &b[..83], &b[83..166], &mut dst);
    note("scale_f32", &dst);
    gather::scale_u8_with(isa, &bytes, &a[..83], &mut dst);
    note("scale_u8", &dst);
    gather::add_rows_with(isa, &b, 83, &[3, 7, 200, 346], &mut dst);
    note("add_rows", &dst);
    let mut rows = b.clone();
    gather::scatter_rows_with(isa, &mut rows, 83, &[0, 9, 9, 346], &dst);
    note("scatter_rows", &rows);

    let mut drawn = vec![0.0; 1000];
    stream::uniform(&mut stream::stream([42; 32]), -0.1, 0.1, &mut drawn);
    note("uniform", &drawn);
    out
}

const GOLDEN: &[(&str, &str)] = &[
    ("nn", "7ec550321f5c37e6"),
    ("tn", "024e19b2e34ab24e"),
    ("nt", "3c3648bb43700384"),
    ("exp", "d10a6b7a9c957eb6"),
    ("ln", "f59f4ed25601054f"),
    ("log1p", "d1d871bf2e57020f"),
    ("tanh", "e13ab3e784914e4a"),
    ("tanh_backward", "1141dab9efb781e4"),
    ("sigmoid", "72a06c4db52cf47d"),
    ("relu", "69dd2078d41ae76a"),
    ("relu_backward", "6304e206d2674952"),
    ("softmax", "5420b50fc45ecb16"),
    ("sum", "5e1c458b0f2f1a5d"),
    ("columns", "36ba72f049ac3e4e"),
    ("f64", "efba67ce8f044d13"),
    ("sgd", "6e5c35b6080fa9cd"),
    ("adam", "b95ed496e3533dc4"),
    ("scale_f32", "2ab5d13182e38a3c"),
    ("scale_u8", "3d69faad2a33c8c8"),
    ("add_rows", "0e70843cb745975e"),
    ("scatter_rows", "8156d630de89dc3f"),
    ("uniform", "c3532b40d5c3ec76"),
];

#[test]
fn every_kernel_has_its_golden_bits_on_every_instruction_set() {
    for isa in Isa::available() {
        let got = kernels(isa);
        let got: Vec<(&str, &str)> = got.iter().map(|(name, digest)| (*name, digest.as_str())).collect();
        assert_eq!(got, GOLDEN, "on {isa:?}");
    }
}
