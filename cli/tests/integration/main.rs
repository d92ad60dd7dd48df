//! The command, run as a user runs it. One program, so that it is linked once; `loops` alone is another, for its time
//! is measured.

#[path = "../common/mod.rs"]
mod common;

mod commands;
mod completions;
mod doctor;
mod documents;
mod exec;
mod get;
mod killed;
