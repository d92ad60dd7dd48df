//! The core in scenes: what happens at which second, and what a caller then hears. Everything goes
//! through the one door, as the client does it.
//!
//! - [`scene`], [`words`] the stage
//! - [`life`], [`failures`], [`refusals`] a token, its fetches, and what goes wrong with them
//! - [`unread`], [`trials`], [`store`] fetches that wait for their credentials, or for other processes
//! - [`threads`], [`warm`] who is given a thread, and what a client does by itself
//! - [`properties`], [`world`] whatever happens, against a second account of what is allowed

mod failures;
mod life;
mod properties;
mod refusals;
mod scene;
mod store;
mod threads;
mod trials;
mod unread;
mod warm;
mod words;
mod world;

use std::time::Duration;

use super::{Core, Settings};
use crate::cache::entry::{GivenUp, State, Want};
use crate::cache::flight::{Class, Failure, Fault, FlightId};
use crate::cache::input::{Granted, Input, Lock, Pair, Record, SourceKind, Unread, Waited};
use crate::cache::limits::Obstacle;
use crate::cache::output::{Brings, Miss, News, Outcome, Output, Rank, Reason, Task, Wait};
use crate::clock::BootTime;
use scene::Heard::{
    Fails, FailsAndStarted, Later, Served, ServedAndStarted, Waits, WaitsAndStarted, WaitsTill,
    WaitsTillAndStarted,
};
use scene::{AT_ONCE, FOREVER, PATIENT, Scene, Trouble, failure, min_ttl, second, seconds, until};
