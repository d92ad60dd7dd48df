//! Scenes: tests of the core that say what happens at which second and what callers get. All input
//! goes through `Core::handle`, as in the client.
//!
//! - [`scene`], [`steps`] the test harness
//! - [`life`], [`failures`], [`refusals`] a token, its fetches, and what goes wrong with them
//! - [`credentials_pending`], [`trials`], [`store`] fetches that wait for credentials or for other
//!   processes
//! - [`limits`] what happens exactly at a limit or late after it
//! - [`threads`], [`warm`] the order of threads, and what a client does without a caller
//! - [`properties`], [`world`] random events, checked against a simpler model

#[cfg(test)]
mod credentials_pending;
#[cfg(test)]
mod failures;
#[cfg(test)]
mod life;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod refusals;
pub(crate) mod scene;
mod steps;
#[cfg(test)]
mod store;
#[cfg(test)]
mod threads;
#[cfg(test)]
mod trials;
#[cfg(test)]
mod warm;
pub(crate) mod world;

use std::time::Duration;

use super::{Core, Settings};
use crate::cache::entry::{GivenUp, State, Want};
use crate::cache::flight::{Class, Failure, Fault, FlightId};
use crate::cache::input::{Granted, Input, Lock, NoCredentials, Pair, Record, SourceKind, Waited};
use crate::cache::limits::Obstacle;
use crate::cache::output::{Miss, Notice, Outcome, Output, Rank, Reason, ResumeWith, Task, Wait};
use crate::clock::BootTime;
use scene::Heard::{
    Fails, FailsAndStarted, Later, Served, ServedAndStarted, Waits, WaitsAndStarted, WaitsTill,
    WaitsTillAndStarted,
};
use scene::{AT_ONCE, FOREVER, PATIENT, Scene, Trouble, failure, min_ttl, second, seconds, until};
