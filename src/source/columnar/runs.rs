//! How long the lists of a Parquet column are, before memory is taken for them: a run of levels says in a few bytes that a list goes on
//! without end.

use super::delta::number;

/// The lists of a column, over all of its pages.
#[derive(Debug)]
pub(super) struct Runs {
    /// Items of the longest list that is read.
    longest: usize,
    /// Items of the list at hand; a null and an empty list have one level too.
    items: usize,
}

impl Runs {
    pub(super) fn new(longest: usize) -> Runs {
        Runs { longest, items: 0 }
    }

    /// Looks at the levels of a page with so many values: 0 where a row begins, 1 where its list goes on. They are runs, and groups of
    /// eight bits. `None` if they are cut short, or a list is too long.
    pub(super) fn see(&mut self, levels: &[u8], values: usize) -> Option<()> {
        let (mut rest, mut left) = (levels, values);
        while left > 0 {
            let head = number(&mut rest)?;
            if head & 1 == 0 {
                let (level, after) = rest.split_first()?;
                rest = after;
                let count = (head >> 1).min(left);
                left -= count;
                self.go_on(*level & 1 == 1, count)?;
                continue;
            }
            let (groups, after) = rest.split_at_checked(head >> 1)?;
            rest = after;
            for bits in groups {
                for place in 0..left.min(8) {
                    self.go_on(bits >> place & 1 == 1, 1)?;
                }
                left -= left.min(8);
            }
        }
        Some(())
    }

    fn go_on(&mut self, same: bool, count: usize) -> Option<()> {
        match (same, count) {
            (_, 0) => {}
            (false, _) => self.items = 1,
            (true, _) => self.items = self.items.checked_add(count)?,
        }
        (self.items <= self.longest).then_some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_counted_over_runs_groups_and_pages() {
        // A run of three rows; a group of which the rows begin at places 0 and 5; a run of 100 that goes on.
        let (rows, group, on) = ([6, 0], [3, 0b1101_1110], [200, 1, 1]);
        let lists = |longest: usize, pages: &[(&[u8], usize)]| {
            let mut runs = Runs::new(longest);
            pages.iter().all(|(levels, values)| runs.see(levels, *values).is_some())
        };
        assert!(lists(1, &[(&rows, 3)]));
        assert!(lists(5, &[(&group, 8)]) && !lists(4, &[(&group, 8)]));
        // The group's last row has three items.
        assert!(lists(103, &[(&group, 8), (&on, 100)]) && !lists(102, &[(&group, 8), (&on, 100)]));
        assert!(lists(5, &[(&[&group[..], &rows[..]].concat(), 11)]));
        // Of the last run no more counts than the page has values.
        assert!(lists(13, &[(&[&group[..], &on[..]].concat(), 18)]));
        // Cut short; and an end that no memory would hold.
        assert!(!lists(9, &[(&group[..1], 8)]) && !lists(9, &[(&rows, 4)]) && !lists(9, &[(&[], 1)]));
        assert!(!lists(1 << 16, &[(&[0xfe, 0xff, 0xff, 0xff, 0x0f, 1], usize::MAX)]));
    }
}
