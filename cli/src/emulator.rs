//! `tu-token emulator`, if built with the feature `emulator`.

use crate::failure::Failure;

#[cfg(feature = "emulator")]
pub use tu_token_emulator::Options;

#[cfg(feature = "emulator")]
pub fn run(options: &Options) -> Result<(), Failure> {
    tu_token_emulator::run(options)
        .map_err(|error| Failure::new(error.exit_code(), error.to_string()))
}

/// Accepts any arguments, so that the only error is that there is no emulator.
#[cfg(not(feature = "emulator"))]
#[derive(clap::Args)]
pub struct Options {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    _ignored: Vec<std::ffi::OsString>,
}

#[cfg(not(feature = "emulator"))]
pub fn run(_: &Options) -> Result<(), Failure> {
    let message = "this tu-token was built without the emulator, for devices in the field";
    Err(Failure::new(crate::failure::USAGE, message).with_hint(
        "on your development machine, `pip install tu-token-cli` installs a tu-token that has it \
         (for other ways see docs/command.md)",
    ))
}
