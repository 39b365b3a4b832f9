//! From figures to places along an axis.

/// An axis: which figures lie where.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
    logarithmic: bool,
}

impl Scale {
    /// Even steps are even differences. The ends are moved apart to whole steps.
    pub(super) fn linear(low: f64, high: f64, from: f64, to: f64) -> Scale {
        let (low, high) = apart(low, high);
        let step = step((high - low) / 5.0);
        let (low, high) = ((low / step + 1e-9).floor() * step, (high / step - 1e-9).ceil() * step);
        Scale { low, high, from, to, logarithmic: false }
    }

    /// From nothing to just this figure.
    pub(super) fn from_zero(high: f64, from: f64, to: f64) -> Scale {
        Scale { low: 0.0, high: apart(0.0, high).1, from, to, logarithmic: false }
    }

    /// Even steps are even factors.
    pub(super) fn logarithmic(low: f64, high: f64, from: f64, to: f64) -> Scale {
        let low = if low.is_finite() && low > 0.0 { low } else { 1.0 };
        let high = if high.is_finite() && high > low * 1.5 { high } else { low * 10.0 };
        Scale { low, high, from, to, logarithmic: true }
    }

    /// The place of a figure; figures beyond the ends lie at the ends.
    pub(super) fn at(&self, value: f64) -> f64 {
        let share = if self.logarithmic {
            libm::log10(value.max(self.low) / self.low) / libm::log10(self.high / self.low)
        } else {
            (value - self.low) / (self.high - self.low)
        };
        self.from + share.clamp(0.0, 1.0) * (self.to - self.from)
    }

    /// Figures to write at the axis.
    pub(super) fn ticks(&self) -> Vec<f64> {
        if self.logarithmic { self.decades() } else { self.steps() }
    }

    fn steps(&self) -> Vec<f64> {
        let step = step((self.high - self.low) / 5.0);
        let count = ((self.high - self.low) / step + 1e-6).floor() as u32;
        (0..=count).map(|i| self.low + f64::from(i) * step).map(|v| if v.abs() < step / 1e6 { 0.0 } else { v }).collect()
    }

    /// Powers of ten, and what lies between them where there are few.
    fn decades(&self) -> Vec<f64> {
        let factors: &[f64] = match self.high / self.low {
            r if r < 30.0 => &[1.0, 2.0, 5.0],
            r if r < 100.0 => &[1.0, 3.0],
            _ => &[1.0],
        };
        let mut ticks = Vec::new();
        let mut decade = decade_below(self.low);
        while decade <= self.high {
            let inside = |v: &f64| *v >= self.low * (1.0 - 1e-9) && *v <= self.high * (1.0 + 1e-9);
            ticks.extend(factors.iter().map(|f| f * decade).filter(inside));
            decade *= 10.0;
        }
        let every = ticks.len().div_ceil(7).max(1);
        ticks.into_iter().step_by(every).collect()
    }
}

/// An interval that is one.
fn apart(low: f64, high: f64) -> (f64, f64) {
    match (low.is_finite(), high.is_finite()) {
        (true, true) if high - low > 1e-9 * low.abs().max(high.abs()).max(1e-3) => (low, high),
        (true, _) => (low - low.abs().max(0.01) * 0.1, low + low.abs().max(0.01) * 0.1),
        _ => (0.0, 1.0),
    }
}

/// The power of ten at or below a positive figure.
fn decade_below(value: f64) -> f64 {
    let mut decade = 1.0;
    for _ in 0..40 {
        if decade > value * (1.0 + 1e-9) {
            decade /= 10.0;
        } else if decade * 10.0 <= value * (1.0 + 1e-9) {
            decade *= 10.0;
        } else {
            break;
        }
    }
    decade
}

/// The least of 1, 2, 2.5 and 5 times a power of ten that is no smaller.
fn step(least: f64) -> f64 {
    let decade = decade_below(least);
    [1.0, 2.0, 2.5, 5.0].iter().map(|f| f * decade).find(|s| *s >= least * (1.0 - 1e-9)).unwrap_or(decade * 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linear_ticks_are_round_and_inside() {
        let scale = Scale::linear(0.0, 1.03, 0.0, 100.0);
        let ticks: Vec<String> = scale.ticks().iter().map(|t| format!("{t:.2}")).collect();
        assert_eq!(ticks, ["0.00", "0.25", "0.50", "0.75", "1.00", "1.25"]);
        assert!((scale.at(0.625) - 50.0).abs() < 1e-9);
    }

    #[test]
    fn a_scale_from_zero_ends_where_it_is_told() {
        let scale = Scale::from_zero(1.08, 0.0, 108.0);
        assert!((scale.at(1.0) - 100.0).abs() < 1e-9);
        assert_eq!(scale.ticks(), [0.0, 0.25, 0.5, 0.75, 1.0]);
    }

    #[test]
    fn logarithmic_ticks_are_powers() {
        let scale = Scale::logarithmic(0.004, 7.0, 0.0, 300.0);
        assert_eq!(scale.ticks().len(), 3);
        assert!((scale.at(0.004)).abs() < 1e-9 && (scale.at(7.0) - 300.0).abs() < 1e-9);
        assert_eq!(Scale::logarithmic(1.0, 20.0, 0.0, 1.0).ticks(), [1.0, 2.0, 5.0, 10.0, 20.0]);
    }

    #[test]
    fn odd_intervals_still_give_an_axis() {
        for (low, high) in
            [(0.0, 0.0), (0.6, 0.6), (1.0, 0.0), (f64::NAN, 1.0), (0.5, f64::INFINITY), (-3.0, -3.0), (1e-300, 1e-300)]
        {
            for scale in [Scale::linear(low, high, 0.0, 10.0), Scale::logarithmic(low, high, 0.0, 10.0)] {
                assert!(scale.at(0.3).is_finite() && scale.ticks().len() < 12, "{low} {high}: {:?}", scale.ticks());
                assert!(scale.ticks().iter().all(|t| t.is_finite()));
            }
        }
    }
}
