//! The emulator, over HTTP and by its Rust API. One program, so that it is linked once; `lifecycle` alone is another: it
//! puts the process under load.

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
