//! How good scores are. Sums run over rows in the order given, in f64.

mod calibration;
mod classes;
mod majority;
mod numbers;
mod ranking;

pub use classes::{ClassMetrics, ClassQuality, ClassReport};
pub use majority::Majority;
pub use numbers::{NumberMetrics, NumberReport};

use calibration::Calibration;
use ranking::Ranking;
