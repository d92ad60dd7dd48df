//! The emulator, over HTTP and by its Rust API. One binary, so that it is linked once; `lifecycle`, which puts the
//! process under load, and `port` have their own.

#[path = "../common/mod.rs"]
mod common;

mod api_keys;
mod bad_input;
mod bad_state;
mod control;
mod documented_commands;
mod iris;
mod page;
mod readme;
mod requirements;
mod state;
mod token;
