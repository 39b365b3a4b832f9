//! Floats where the vector units like them best.

use std::fmt;
use std::ops::{Deref, DerefMut};

use super::simd::{Line, WIDTH};

/// A vector of `f32` that begins on a cache line, so that no block of 16 lies on two. Where it lies changes no bit of any result.
#[derive(Clone, Default)]
pub struct Floats {
    lines: Vec<Line>,
    /// Lines before the first element.
    lead: usize,
    length: usize,
}

impl Floats {
    /// So many zeros.
    pub fn zeros(length: usize) -> Floats {
        Floats::zeros_behind(0, length)
    }

    /// So many zeros behind some lines that nobody reads. Large vectors begin at the same place of their pages, and a load that has the low
    /// bits of its address in common with a store before it waits for that; so what is read and written in step gets leads that differ.
    pub fn zeros_behind(lead: usize, length: usize) -> Floats {
        Floats { lines: vec![Line([0.0; WIDTH]); lead + length.div_ceil(WIDTH)], lead, length }
    }

    /// Makes it as long as said; what is new may hold anything that was there before.
    pub fn resize(&mut self, length: usize) {
        let lines = self.lead + length.div_ceil(WIDTH);
        if self.lines.len() < lines {
            self.lines.resize(lines, Line([0.0; WIDTH]));
        }
        self.length = length;
    }
}

impl Deref for Floats {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        let floats: &[f32] = bytemuck::cast_slice(self.lines.get(self.lead..).unwrap_or_default());
        floats.get(..self.length).unwrap_or_default()
    }
}

impl DerefMut for Floats {
    fn deref_mut(&mut self) -> &mut [f32] {
        let floats: &mut [f32] = bytemuck::cast_slice_mut(self.lines.get_mut(self.lead..).unwrap_or_default());
        floats.get_mut(..self.length).unwrap_or_default()
    }
}

impl PartialEq for Floats {
    fn eq(&self, other: &Floats) -> bool {
        **self == **other
    }
}

impl fmt::Debug for Floats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_begin_on_a_cache_line_wherever_they_lead() {
        for (lead, length) in [(0, 0), (0, 1), (3, 16), (5, 100)] {
            let mut floats = Floats::zeros_behind(lead, length);
            assert_eq!(floats.len(), length);
            assert!(floats.as_ptr().addr().is_multiple_of(64));
            floats.resize(2 * length);
            floats.fill(1.0);
            floats.resize(length + 1);
            assert_eq!(floats.len(), length + 1);
            assert!(floats.as_ptr().addr().is_multiple_of(64));
        }
        assert_ne!(Floats::zeros(2), Floats::zeros(3));
        assert_eq!(Floats::zeros(2), Floats::zeros_behind(1, 2));
    }
}
