//! A token that several runs share.

use std::time::Duration;

use tu_token::{Client, Config, Error, GetOptions, Token};

use crate::settings::{Settings, Source};

/// Gets a token for the client's own scope.
pub fn get(settings: &Settings) -> Result<Token, Error> {
    settings.warn();
    let client = client(settings)?;
    let token = client.token()?;
    if !token.fresh_for().is_zero() {
        return Ok(token);
    }
    // It is due: that call has begun a renewal in the background, which would end with this process.
    // A token for longer than this one lives waits for it, and gets this one if it fails.
    let min_ttl = token.expires_in() + Duration::from_secs(1);
    client.get(&GetOptions { min_ttl, ..GetOptions::default() })
}

/// A client that keeps its tokens in files, unless told otherwise: the next run finds them.
fn client(settings: &Settings) -> Result<Client, Error> {
    let config = settings.config();
    if settings.source_of("store") != Source::Default {
        return Client::new(&config);
    }
    let mut shared = config.clone();
    shared.set("store", "file");
    without_file_store(Client::new(&shared), &config)
}

// TO BE REMOVED when the library has its file store: until then every run makes its own request.
fn without_file_store(shared: Result<Client, Error>, config: &Config) -> Result<Client, Error> {
    match shared {
        Err(error) if error.message().contains("not built yet") => Client::new(config),
        outcome => outcome,
    }
}
