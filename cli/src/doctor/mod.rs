//! `tu-token doctor`: finds out what is wrong and says what to do.
//!
//! The checks start with this machine and work outwards, so that the first failure is the cause of the
//! following ones; checks that cannot be made are skipped.
//!
//! - [`report`]: a check and how it is shown
//! - [`machine`]: checks without a network: credentials, options, clock, store, trust store
//! - [`network`]: the way to the token endpoint: proxy, name resolution, connection, server clock
//! - [`peer`]: the host a URL names, and whether it can be reached
//! - [`service`]: the services' answers: token, API; [`scopes`]: which scope is refused

mod machine;
mod network;
mod peer;
mod report;
mod scopes;
mod service;

use std::io::IsTerminal as _;

use tu_token::Config;
use tu_token::diagnosis::Diagnosis;

use crate::arguments::{Color, Doctor};
use crate::failure::Failure;
use crate::settings::Settings;
use report::Report;

/// Checks that need valid options.
const AFTER_OPTIONS: [&str; 9] = [
    "store",
    "proxy",
    "name_resolution",
    "trust_store",
    "connection",
    "server_clock",
    "token",
    "scopes",
    "api",
];

pub fn run(settings: &Settings, doctor: &Doctor) -> Result<(), Failure> {
    let mut report = Report::new(doctor.json, is_coloured(doctor.color));
    examine(settings, &mut report)?;
    report.finish()
}

fn examine(settings: &Settings, report: &mut Report) -> Result<(), Failure> {
    let places = machine::credentials(settings);
    let mut config = settings.sharing_config();
    let diagnosis = Diagnosis::new(&tolerant(&config, places.state.is_failed()));
    let credentials = match &diagnosis {
        Ok(diagnosis) if !places.state.is_failed() => machine::readable(places, diagnosis),
        _ => places,
    };
    let has_credentials = !credentials.state.is_failed();
    report.add(credentials)?;
    let diagnosis = match diagnosis {
        Ok(diagnosis) => diagnosis,
        Err(error) => {
            report.add(machine::wrong_options(&error))?;
            report.add(machine::clock())?;
            return report.skip(&AFTER_OPTIONS, "the options are wrong");
        }
    };
    let options = machine::options(settings, &diagnosis);
    // A stored token would say nothing about the endpoint.
    config.set("store", "memory");
    let may_ask = has_credentials && !options.state.is_failed();
    report.add(options)?;
    report.add(machine::clock())?;
    report.add(machine::store(&diagnosis))?;
    let is_connected = network::examine(&diagnosis, report)?;
    match (is_connected, may_ask) {
        (true, true) => service::examine(&config, &diagnosis, report),
        (true, false) => {
            report.skip(&["token", "scopes", "api"], "credentials or scope are missing")
        }
        (false, _) => report.skip(&["token", "scopes", "api"], "there is no connection"),
    }
}

/// Allows the other options to be checked without credentials.
fn tolerant(config: &Config, has_no_credentials: bool) -> Config {
    let mut config = config.clone();
    if has_no_credentials {
        config.on_credentials(|_| None);
    }
    config
}

/// <https://no-color.org>: any non-empty value disables colour.
fn is_coloured(choice: Color) -> bool {
    let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    match choice {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => {
            std::io::stdout().is_terminal()
                && !is_set("NO_COLOR")
                && std::env::var_os("TERM").is_none_or(|terminal| terminal != "dumb")
        }
    }
}
