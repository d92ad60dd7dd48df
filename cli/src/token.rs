//! A token that several runs share.

use std::time::Duration;

use tu_token::{Client, Error, GetOptions, Token};

use crate::settings::Settings;

/// Gets a token for the client's own scope.
pub fn get(settings: &Settings) -> Result<Token, Error> {
    settings.warn();
    // The next run finds what this one got.
    let client = Client::new(&settings.sharing_config())?;
    let token = client.token()?;
    if !token.fresh_for().is_zero() {
        return Ok(token);
    }
    // It is due: that call has begun a renewal in the background, which would end with this process.
    // A token for longer than this one lives waits for it, and gets this one if it fails.
    let min_ttl = token.expires_in() + Duration::from_secs(1);
    client.get(&GetOptions { min_ttl, ..GetOptions::default() })
}
