//! The parts of the example `fleet` other than the simulation itself: its arguments and its charts.
//!
//! A separate package, so that the library builds without the simulation and a plotting crate, and the
//! example still runs without naming a feature. (The library cannot depend on itself for that: with the
//! C ABI its tests would then contain every symbol twice.)

pub mod arguments;
pub mod chart;
pub mod frame;
pub mod stores_chart;
