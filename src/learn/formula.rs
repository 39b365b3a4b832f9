//! What a trained model computes, in parts that can be written down elsewhere: weights, trees, and the constants around them.
//!
//! A formula says the same as [`super::Scorer::scores`] does, up to the rounding of sums: decisions of trees are the same for every f32.

use super::Activation;

/// What a scorer computes.
#[derive(Clone, Debug, PartialEq)]
pub enum Formula {
    /// Dense layers.
    Net(NetFormula),
    /// A regression on integer features.
    Ridge(RidgeFormula),
    /// Trees.
    Trees(TreesFormula),
    /// What a program of the person's own computes, which nobody else knows.
    Unknown,
}

/// Dense layers over scaled inputs: numbers `(x - shift) * gain`, 0 where missing, cut to `bound`; bytes times their scales;
/// indicators; then the table's rows of the categories. Classes end in a softmax, a number in `output / gain + shift` of the target.
#[derive(Clone, Debug, PartialEq)]
pub struct NetFormula {
    /// What is taken off each number.
    pub shifts: Vec<f32>,
    /// What the rest is multiplied by.
    pub gains: Vec<f32>,
    /// How far from 0 scaled numbers are let go.
    pub bound: Option<f32>,
    /// From the input on.
    pub layers: Vec<DenseLayer>,
    /// What follows each layer but the last.
    pub activation: Activation,
    /// Shift and gain of a number that is learnt.
    pub target: (f32, f32),
}

/// One layer.
#[derive(Clone, Debug, PartialEq)]
pub struct DenseLayer {
    /// Outputs.
    pub width: usize,
    /// `dense inputs x width`.
    pub weights: Vec<f32>,
    /// `values of all category columns x width`; of the first layer alone.
    pub table: Vec<f32>,
    /// `width`.
    pub biases: Vec<f32>,
}

/// Integer features times weights (docs/TRAINING.md has every feature).
#[derive(Clone, Debug, PartialEq)]
pub struct RidgeFormula {
    /// The lower end and the width of each number column's range.
    pub numbers: Vec<(f64, f64)>,
    /// Bins of a number.
    pub bins: usize,
    /// Width and height where the bytes are an image.
    pub image: Option<(usize, usize)>,
    /// For each category column: how many values it has and, where they share inputs, which two inputs each value takes.
    pub categories: Vec<(u32, Option<[Vec<u8>; 2]>)>,
    /// Inputs that share the values of such a column: so many in each of its two groups.
    pub group: usize,
    /// The random features, if there are any.
    pub random: Option<RandomFeatures>,
    /// `features x outputs`: of the bias, the inputs, the random features.
    pub weights: Vec<f64>,
    /// The least share of a class, and to which power shares count.
    pub shares: (f64, usize),
    /// The lower end and the width of the range of a number that is learnt, and what stands for its upper end.
    pub target: (f64, f64, f64),
}

/// Rectified projections, or cosines of them: `floor((sum + offset) * factor / 2^24)` from 0 to 127, or
/// `wave[(floor(sum * factor / 2^24) + offset) mod 1024]`.
#[derive(Clone, Debug, PartialEq)]
pub struct RandomFeatures {
    /// `features x inputs`.
    pub weights: Vec<i8>,
    /// A feature each.
    pub offsets: Vec<i32>,
    /// The factor.
    pub factor: i64,
    /// The levels of a turn; of cosines.
    pub wave: Option<Vec<u8>>,
}

/// Trees whose leaves add up.
#[derive(Clone, Debug, PartialEq)]
pub struct TreesFormula {
    /// What nodes ask.
    pub asks: Vec<Ask>,
    /// The trees, each its nodes, the root first.
    pub trees: Vec<Vec<TreeNode>>,
    /// What leaves say: `leaves x outputs`.
    pub leaves: Leaves,
}

/// What leaves say, and what becomes of it.
#[derive(Clone, Debug, PartialEq)]
pub enum Leaves {
    /// Scores, `leaves x outputs`: their mean over the trees are the scores.
    Scores(Vec<f32>),
    /// Integers, a leaf each. Those of a tree are added to the raw score of its model: trees of the models take turns.
    Raw {
        /// The values of the leaves.
        values: Vec<i32>,
        /// What the raw scores begin with, one a model.
        base: Vec<i64>,
        /// What raw scores are.
        link: Link,
    },
}

/// What raw scores are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Link {
    /// In 2^-20ths: the log-odds of the second of two classes, or what a softmax of all classes takes.
    Odds,
    /// In 2^-24ths of the range from a lower to an upper end.
    Range(f64, f64),
}

/// One thing that nodes ask of a row.
#[derive(Clone, Debug, PartialEq)]
pub enum Ask {
    /// A number column, as it is stored.
    Number(usize),
    /// A byte column.
    Byte(usize),
    /// A category column.
    Category(usize),
    /// A category column, by what each of its values stands for.
    Folded(usize, Vec<u8>),
}

/// One node.
#[derive(Clone, Debug, PartialEq)]
pub enum TreeNode {
    /// Which leaf.
    Leaf(usize),
    /// A question.
    Split {
        /// Of what.
        ask: usize,
        /// Whether a row goes left.
        test: TreeTest,
        /// Where those on the left go on, in the tree's nodes.
        left: usize,
        /// Where the others go on.
        right: usize,
    },
}

/// Whether a row goes left.
#[derive(Clone, Debug, PartialEq)]
pub enum TreeTest {
    /// What is at most `most`, which is the greatest f32 of which that is so; and what is missing, if `missing`.
    AtMost {
        /// The greatest; infinite (negative) for all (none).
        most: f32,
        /// Whether what is missing goes left.
        missing: bool,
    },
    /// What is in the set, ascending.
    In(Vec<u16>),
}

/// The greatest number for which `left` holds, given that it holds for all below one for which it does: by bisection over all finite
/// f32, so that `x <= greatest` says the same as `left(x)` for each of them. Infinite where it holds for all, or for none.
pub fn greatest(left: impl Fn(f32) -> bool) -> f32 {
    // In the order of numbers: 0 is -f32::MAX.
    let number = |at: u32| {
        let ordered = at + 0x0080_0000;
        f32::from_bits(if ordered >> 31 == 1 { ordered & 0x7fff_ffff } else { !ordered })
    };
    let last = 0xff7f_ffff - 0x0080_0000;
    if !left(number(0)) {
        return f32::NEG_INFINITY;
    }
    if left(number(last)) {
        return f32::INFINITY;
    }
    let (mut holds, mut fails) = (0, last);
    while fails - holds > 1 {
        let middle = holds + (fails - holds) / 2;
        if left(number(middle)) { holds = middle } else { fails = middle }
    }
    number(holds) + 0.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_greatest_number_is_found_among_all() {
        for most in [f32::MIN, -1.5, -1e-45, 0.0, 1e-45, 0.1, 1.0, 3.0e38] {
            assert_eq!(greatest(|x| x <= most).to_bits(), most.to_bits(), "{most}");
        }
        assert_eq!(greatest(|x| x < 1.0), 1.0_f32.next_down());
        assert_eq!(greatest(|x| x < 0.0), -1e-45);
        assert_eq!((greatest(|_| true), greatest(|_| false)), (f32::INFINITY, f32::NEG_INFINITY));
    }
}
