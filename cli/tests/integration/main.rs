//! The command, run as a user runs it. One binary, so that it is linked once; `loops`, which measures times, has its
//! own.

#[path = "../common/mod.rs"]
mod common;

mod commands;
mod completions;
mod doctor;
mod documents;
mod exec;
mod get;
mod killed;
mod redis;
mod start;
