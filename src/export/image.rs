//! Images: orientations of gradients in cells and means of 2 x 2 pixels (docs/TRAINING.md has every operation). All values are integers
//! below 2^53, so f64 holds them; a division or a root that is rounded down is that of integers.

use super::graph::{Attr, Elem, Graph, Value};

/// Pixels of a side of a cell.
const CELL: usize = 4;
/// 64 times the cosine and sine of each orientation.
const DIRECTIONS: [[f64; 2]; 8] =
    [[64.0, 0.0], [45.0, 45.0], [0.0, 64.0], [-45.0, 45.0], [-64.0, 0.0], [-45.0, -45.0], [0.0, -64.0], [45.0, -45.0]];

/// The channels of images (`rows x channels`), of pixels (`rows x (width * height)`), both f64.
pub(super) fn channels(graph: &mut Graph, pixels: &Value, (width, height): (usize, usize)) -> Value {
    let shape = graph.constant(&[4], &[-1_i64, 1, height as i64, width as i64]);
    let pixels = graph.op("Reshape", &[pixels, &shape]);
    let halves = quotient(graph, &pixels, 2.0);
    let means = means(graph, &halves);
    let cells = histograms(graph, &halves, (width, height));
    let orientations = normalised(graph, &cells, (width, height));
    graph.concat(&[&orientations, &means])
}

/// `floor(value / by)`.
fn quotient(graph: &mut Graph, value: &Value, by: f64) -> Value {
    let by = graph.scalar(by);
    let quotient = graph.op("Div", &[value, &by]);
    graph.op("Floor", &[&quotient])
}

/// `floor(sqrt(value))`.
fn root(graph: &mut Graph, value: &Value) -> Value {
    let root = graph.op("Sqrt", &[value]);
    graph.op("Floor", &[&root])
}

/// All but the first axis as one.
fn flat(graph: &mut Graph, value: &Value) -> Value {
    graph.op_with("Flatten", &[value], &[("axis", Attr::Int(1))])
}

/// A matrix of f64 with ones, or what `cell` says.
fn matrix(graph: &mut Graph, rows: usize, columns: usize, cell: impl Fn(usize, usize) -> f64) -> Value {
    let cells: Vec<f64> = (0..rows * columns).map(|at| cell(at / columns, at % columns)).collect();
    graph.constant(&[rows, columns], &cells)
}

/// Means over 2 x 2 pixels, halves up.
fn means(graph: &mut Graph, halves: &Value) -> Value {
    // Exact in f32: sums of four numbers below 128.
    let narrow = graph.cast(halves, Elem::F32);
    let kernel = graph.constant(&[1, 1, 2, 2], &[1.0_f32; 4]);
    let sums = graph.op_with("Conv", &[&narrow, &kernel], &[("strides", Attr::Ints(&[2, 2]))]);
    let sums = graph.cast(&sums, Elem::F64);
    let two = graph.scalar(2.0);
    let sums = graph.op("Add", &[&sums, &two]);
    let means = quotient(graph, &sums, 4.0);
    flat(graph, &means)
}

/// What each cell has of each orientation: `rows x 8 x cells down x cells across`.
fn histograms(graph: &mut Graph, halves: &Value, (width, height): (usize, usize)) -> Value {
    // The neighbour after less the one before; at an edge the pixel itself.
    let difference = |side: usize, after: usize, at: usize| {
        let (next, last) = ((at + 1).min(side - 1), at.saturating_sub(1));
        f64::from(u8::from(after == next)) - f64::from(u8::from(after == last))
    };
    let columns = matrix(graph, width, width, |from, to| difference(width, from, to));
    let rows = matrix(graph, height, height, |to, from| difference(height, from, to));
    let (across, down) = (graph.op("MatMul", &[halves, &columns]), graph.op("MatMul", &[&rows, halves]));
    let [a, d] = [&across, &down].map(|side| graph.op("Mul", &[side, side]));
    let squares = graph.op("Add", &[&a, &d]);
    let sixteen = graph.scalar(16.0);
    let squares = graph.op("Mul", &[&squares, &sixteen]);
    let magnitude = root(graph, &squares);
    let [cosines, sines] = [0, 1].map(|side: usize| {
        let of: Vec<f64> = DIRECTIONS.iter().filter_map(|d| d.get(side)).map(|x| 4.0 * x).collect();
        graph.constant(&[1, 8, 1, 1], &of)
    });
    let (a, d) = (graph.op("Mul", &[&across, &cosines]), graph.op("Mul", &[&down, &sines]));
    let along = graph.op("Add", &[&a, &d]);
    let (least, faint, zero) = (graph.scalar(45.0), graph.scalar(8.0), graph.scalar(0.0));
    let least = graph.op("Mul", &[&magnitude, &least]);
    let along = graph.op("Sub", &[&along, &least]);
    let along = graph.op("Max", &[&along, &zero]);
    let along = quotient(graph, &along, 16.0);
    let is_faint = graph.op("Less", &[&magnitude, &faint]);
    let along = graph.op("Where", &[&is_faint, &zero, &along]);
    let mut sum: Option<Value> = None;
    for far_down in [false, true] {
        for far_across in [false, true] {
            let of_rows: Vec<f64> = (0..height).map(|y| share(y, height / CELL, far_down).1).collect();
            let of_columns: Vec<f64> = (0..width).map(|x| share(x, width / CELL, far_across).1).collect();
            let of_rows = graph.constant(&[1, 1, height, 1], &of_rows);
            let of_columns = graph.constant(&[1, 1, 1, width], &of_columns);
            let part = graph.op("Mul", &[&along, &of_rows]);
            let part = graph.op("Mul", &[&part, &of_columns]);
            let part = quotient(graph, &part, 16.0);
            let is_of = |pixel, cells, far, cell| f64::from(u8::from(share(pixel, cells, far).0 == cell));
            let rows = matrix(graph, height / CELL, height, |cell, y| is_of(y, height / CELL, far_down, cell));
            let columns = matrix(graph, width, width / CELL, |x, cell| is_of(x, width / CELL, far_across, cell));
            let part = graph.op("MatMul", &[&part, &columns]);
            let part = graph.op("MatMul", &[&rows, &part]);
            sum = Some(match sum {
                Some(sum) => graph.op("Add", &[&sum, &part]),
                None => part,
            });
        }
    }
    sum.unwrap_or(zero)
}

/// Of the two cells whose centres are nearest to a pixel's the one before or the one after, and the pixel's share of it in eighths; a
/// cell that is not there has none.
fn share(pixel: usize, cells: usize, far: bool) -> (usize, f64) {
    let from = 2 * pixel + 1 + CELL;
    let (cell, share) = (from / (2 * CELL), from % (2 * CELL));
    match far {
        false if cell == 0 => (0, 0.0),
        false => (cell - 1, (2 * CELL - share) as f64),
        true if cell == cells => (0, 0.0),
        true => (cell, share as f64),
    }
}

/// Each cell's orientations as shares of the norm of the cells around it: `rows x (cells * 8)`.
fn normalised(graph: &mut Graph, cells: &Value, (width, height): (usize, usize)) -> Value {
    let (across, down) = (width / CELL, height / CELL);
    let squares = graph.op("Mul", &[cells, cells]);
    let energy = graph.reduce("ReduceSum", &squares, 1, true);
    let near = |a: usize, b: usize| f64::from(u8::from(a.abs_diff(b) <= 1));
    let (columns, rows) = (matrix(graph, across, across, near), matrix(graph, down, down, near));
    let around = graph.op("MatMul", &[&energy, &columns]);
    let around = graph.op("MatMul", &[&rows, &around]);
    let norm = root(graph, &around);
    let floor = graph.scalar(200.0);
    let norm = graph.op("Add", &[&norm, &floor]);
    let (gain, most) = (graph.scalar(2.0 * 127.0 * 127.0), graph.scalar(127.0 * 127.0));
    let gained = graph.op("Mul", &[cells, &gain]);
    let share = graph.op("Div", &[&gained, &norm]);
    let share = graph.op("Floor", &[&share]);
    let share = graph.op("Min", &[&share, &most]);
    let level = root(graph, &share);
    let level = graph.op_with("Transpose", &[&level], &[("perm", Attr::Ints(&[0, 2, 3, 1]))]);
    flat(graph, &level)
}
