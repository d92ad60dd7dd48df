//! `tu-token get`: prints a token.

use serde_json::json;
use tu_token::Token;

use crate::arguments::{Format, Get};
use crate::failure::Failure;
use crate::settings::Settings;
use crate::{output, token};

pub fn run(settings: &Settings, get: &Get) -> Result<(), Failure> {
    let token = if get.renew { token::renew(settings) } else { token::get(settings) }?;
    match get.format {
        Format::Token => output::line(token.value()),
        Format::Bearer => output::line(token.bearer()),
        Format::Header => output::line(token.header()),
        Format::Json => output::line(&json(&token)),
    }
}

/// Members named as in the token endpoint's response, plus `expires_at`.
fn json(token: &Token) -> String {
    json!({
        "access_token": token.value(),
        "token_type": "Bearer",
        "expires_in": token.expires_in().as_secs(),
        "expires_at": token.expires_at_unix_ms() / 1000,
        "scope": token.scope(),
    })
    .to_string()
}
