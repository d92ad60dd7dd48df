//! Manual pages, in a program built with the feature `__man`: what packages carry.

use std::path::Path;

use crate::arguments;
use crate::failure::{Failure, INTERNAL};

/// Writes `tu-token.1` and a page for each subcommand into a directory.
pub fn write(directory: &Path) -> Result<(), Failure> {
    // A page for `help` would say what `help` says.
    let command = arguments::command().disable_help_subcommand(true);
    clap_mangen::generate_to(command, directory).map_err(|error| {
        Failure::new(INTERNAL, format!("{} cannot be written to: {error}", directory.display()))
    })
}
