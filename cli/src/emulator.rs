//! The service on your desk, in a program built with the feature `emulator`.

use crate::failure::Failure;

#[cfg(feature = "emulator")]
pub use tu_token_emulator::Options;

#[cfg(feature = "emulator")]
pub fn run(options: &Options) -> Result<(), Failure> {
    tu_token_emulator::run(options)
        .map_err(|error| Failure::new(error.exit_code(), error.to_string()))
}

/// Takes whatever the emulator would: what is wrong is that there is none.
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
        "on the machine you develop on, `pip install tu-token-cli` brings a tu-token with it \
         (docs/command.md tells of other ways)",
    ))
}
