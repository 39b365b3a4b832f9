//! How many tasks one kernel call may be split into.

/// The number of tasks of a call. Splitting is over output rows, columns or elements only, never over the terms
/// of one output, so the number changes no bit. The tasks run in the current rayon pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Team {
    lanes: usize,
}

impl Team {
    /// One task: the call stays on the calling thread. For one model a thread.
    pub fn solo() -> Team {
        Team { lanes: 1 }
    }

    /// At most `lanes` tasks; 0 is read as 1. Small calls use fewer.
    pub fn of(lanes: usize) -> Team {
        Team { lanes: lanes.max(1) }
    }

    /// As many tasks as the pool has threads in which this is called; one outside of any.
    pub fn here() -> Team {
        Team::of(if rayon::current_thread_index().is_some() { rayon::current_num_threads() } else { 1 })
    }

    /// The most tasks that a call is split into.
    pub fn lanes(self) -> usize {
        self.lanes
    }

    /// The length of each task's piece of `length` outputs, when a piece should hold at least `least` of them and, but
    /// for the last, a multiple of `unit`. Never 0.
    pub(crate) fn piece(self, length: usize, unit: usize, least: usize) -> usize {
        length.div_ceil(self.lanes).max(least).next_multiple_of(unit.max(1)).max(1)
    }

    /// Runs `work` on pieces of `xs`, at most one a lane, each (but for the last) a multiple of `unit` long. `work` is given the index of its
    /// piece's first element, and must not care how the elements are cut.
    pub fn split<T: Send>(self, xs: &mut [T], unit: usize, work: impl Fn(usize, &mut [T]) + Sync) {
        let piece = self.piece(xs.len(), unit, 0);
        self.run(xs.chunks_mut(piece).enumerate(), |(index, xs)| work(index * piece, xs));
    }

    /// Runs `work` on every piece. The first stays on the calling thread, the others are up for stealing.
    pub(crate) fn run<T: Send>(self, pieces: impl Iterator<Item = T>, work: impl Fn(T) + Sync) {
        let mut pieces = pieces.peekable();
        let Some(first) = pieces.next() else { return };
        if self.lanes == 1 || pieces.peek().is_none() {
            work(first);
            pieces.for_each(work);
            return;
        }
        let work = &work;
        rayon::in_place_scope(|scope| {
            for piece in pieces {
                scope.spawn(move |_| work(piece));
            }
            work(first);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_cover_the_length_in_at_most_as_many_tasks_as_lanes() {
        for lanes in 0..5 {
            let team = Team::of(lanes);
            for length in 0..200 {
                let piece = team.piece(length, 16, 32);
                assert!(piece >= 32 && piece.is_multiple_of(16));
                assert!(length.div_ceil(piece) <= team.lanes());
            }
        }
        assert_eq!(Team::of(2).piece(5, 1, 0), 3);
        assert_eq!(Team::of(2).piece(0, 1, 0), 1);
    }

    #[test]
    fn split_tells_where_each_piece_starts() {
        for lanes in [1, 2, 3] {
            let mut places = [0; 100];
            Team::of(lanes).split(&mut places, 8, |first, xs| {
                assert!(first % 8 == 0);
                xs.iter_mut().zip(first..).for_each(|(x, place)| *x = place);
            });
            assert!(places.into_iter().eq(0..100));
            Team::of(lanes).split(&mut [0; 0], 0, |_, _| unreachable!("nothing to work on"));
        }
    }

    #[test]
    fn a_team_is_that_of_the_pool_it_is_asked_in() {
        assert_eq!(Team::here(), Team::solo());
        let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
        assert_eq!(pool.install(Team::here), Team::of(3));
    }

    #[test]
    fn every_piece_is_run_once() {
        for lanes in [1, 2, 3] {
            let mut marks = [0u8; 10];
            Team::of(lanes).run(marks.chunks_mut(3), |piece| piece.iter_mut().for_each(|mark| *mark += 1));
            assert_eq!(marks, [1; 10]);
        }
    }
}
