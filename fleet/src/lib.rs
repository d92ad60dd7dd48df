//! What the example `fleet` is made of besides the simulation itself: its arguments and its
//! picture.
//!
//! A package of its own, so that the library is built without the simulation and without a
//! plotting crate, and the example still runs without naming a feature. (The library cannot depend
//! on itself for that: with the C ABI its tests would then contain every symbol twice.)

pub mod arguments;
pub mod chart;
