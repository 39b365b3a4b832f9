//! The settings of `ridge`, and which layouts they can work with.

use serde::{Deserialize, Serialize};

use super::image::{self, Image};
use super::{Ridge, inputs};
use crate::learn::error::ranged;
use crate::learn::settings::Kind;
use crate::learn::{Layout, Learner, SettingsError};

/// Bins of a number column, where nothing else is said.
const BINS: u32 = 16;
/// More bins than this are taken for a mistake: features have 127 levels.
const BINS_MAX: u32 = 127;
/// More features than this are refused: G then takes 1 GiB.
pub(super) const WIDTH_MAX: usize = 16_384;
/// More elements of C than this are refused: they would take 512 MiB.
const CROSS_MAX: usize = 1 << 26;

/// The settings of `ridge`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RidgeSettings {
    /// What becomes of the inputs before the regression.
    pub map: RidgeMap,
    /// The penalty on the squared weights (the bias apart), as a multiple of the mean diagonal element of G.
    pub strength: f32,
    /// Bins of a number column: 1 keeps its value alone.
    #[serde(default = "default_bins")]
    pub bins: u32,
}

/// What becomes of the inputs before the regression.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum RidgeMap {
    /// Nothing: values, bins and categories are the features.
    Bins,
    /// Random features are added: rectified random projections of all inputs.
    Relu {
        /// How many.
        dimension: u32,
    },
    /// Random features are added: cosines of random projections of all inputs (random Fourier features).
    Cosine {
        /// How many.
        dimension: u32,
    },
    /// As `relu`, but the byte columns are an image, row after row from the top, and its inputs are the orientations of its gradients and the
    /// means of 2 x 2 pixels.
    Image {
        /// Pixels of a row.
        width: u32,
        /// Rows.
        height: u32,
        /// How many.
        dimension: u32,
    },
}

fn default_bins() -> u32 {
    BINS
}

impl Default for RidgeSettings {
    /// For tables of any kind.
    fn default() -> RidgeSettings {
        RidgeSettings { map: RidgeMap::Relu { dimension: 1024 }, strength: 3e-3, bins: BINS }
    }
}

impl Kind for RidgeSettings {
    const KIND: &'static str = "ridge";

    fn check(&self) -> Result<Box<dyn Learner>, SettingsError> {
        RidgeSettings::check(self)?;
        Ok(Box::new(Ridge::of_checked(self.clone())))
    }
}

impl RidgeSettings {
    /// How many random features.
    pub(super) fn dimension(&self) -> usize {
        match self.map {
            RidgeMap::Bins => 0,
            RidgeMap::Relu { dimension } | RidgeMap::Cosine { dimension } | RidgeMap::Image { dimension, .. } => {
                dimension as usize
            }
        }
    }

    /// Whether every value is allowed.
    ///
    /// # Errors
    /// Names the first setting that is not.
    pub(super) fn check(&self) -> Result<(), SettingsError> {
        let refuse = |setting, value: String, allowed: String| Err(SettingsError { setting, value, allowed });
        if self.map != RidgeMap::Bins && !(1..WIDTH_MAX).contains(&self.dimension()) {
            return refuse("map.dimension", self.dimension().to_string(), format!("a count from 1 to {}", WIDTH_MAX - 1));
        }
        if let RidgeMap::Image { width, height, .. } = self.map {
            for (setting, side) in [("map.width", width), ("map.height", height)] {
                if !image::allows(side) {
                    return refuse(setting, side.to_string(), image::ALLOWED.to_owned());
                }
            }
        }
        if !(1e-6..=1e6).contains(&self.strength) {
            return refuse("strength", format!("{:?}", self.strength), "a number from 1e-6 to 1e6".to_owned());
        }
        if !(1..=BINS_MAX).contains(&self.bins) {
            return refuse("bins", self.bins.to_string(), format!("a count from 1 to {BINS_MAX}"));
        }
        Ok(())
    }

    /// Whether rows of this layout can be learnt from.
    ///
    /// # Errors
    /// Names what stands in the way: a column without a range, an image of another size, too many features.
    pub(super) fn accepts(&self, layout: &Layout) -> Result<(), SettingsError> {
        let refuse = |setting, value: String, allowed: String| Err(SettingsError { setting, value, allowed });
        ranged(Self::KIND, layout, true)?;
        if let RidgeMap::Image { width, height, .. } = self.map
            && Image::pixels(width, height) != layout.byte_scales.len()
        {
            return refuse(
                "map",
                format!("an image of {width} x {height} pixels, and there are {} byte columns", layout.byte_scales.len()),
                "a width and a height whose product is the number of byte columns, or another map".to_owned(),
            );
        }
        let width = self.features(layout);
        if width > WIDTH_MAX {
            return refuse(
                "map",
                format!("one that makes {width} features"),
                format!("at most {WIDTH_MAX} features: a smaller `dimension`, fewer `bins`, or fewer columns"),
            );
        }
        if width.saturating_mul(layout.task.outputs()) > CROSS_MAX {
            return refuse(
                "kind",
                format!("`ridge`, with {width} features and {} classes", layout.task.outputs()),
                format!("at most {CROSS_MAX} products of features and classes: a smaller `dimension`, or fewer classes"),
            );
        }
        Ok(())
    }

    /// How many features rows of a layout have: a bias, the inputs, and random ones.
    pub(super) fn features(&self, layout: &Layout) -> usize {
        inputs::width(self, layout).saturating_add(self.dimension()).saturating_add(1)
    }
}
