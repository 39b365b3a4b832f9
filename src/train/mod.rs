//! Training: a build. What is missing is built from the nearest step below it.
//!
//! A first run, a resumed run and a repair are the same thing here. **This module does not know that deletion exists.**

mod advance;
mod carry;
mod clean;
mod crew;
mod error;
mod first;
mod ground;
mod keep;
mod known;
mod lineage;
mod orphans;
mod overtaken;
mod pilot;
mod plan;
mod recipe;
mod run;
mod schedule;

pub use advance::{Constituent, advance, take_step};
pub use carry::{carry_each, carry_over, carry_to_waiting};
pub use clean::{lineages_of, stale};
pub use crew::{ThreadShare, Watch};
pub use error::TrainError;
pub use first::settled;
pub use ground::Ground;
pub use keep::Keep;
pub use known::Known;
pub use lineage::{LineageRoot, lineages};
pub use pilot::{pilot, pilot_on};
pub use plan::{Model, ShardPlan};
pub use recipe::{NUMERICS_VERSION, Recipe};
pub use run::{Committed, Made, Report, ShardReport, Stop, commit, train};
pub use schedule::{Schedule, ScheduleKind};
