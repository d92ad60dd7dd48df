//! The options of the command, in one place for whichever program runs it.

use std::path::PathBuf;

use clap::Args;

use crate::account::NewKey;
use crate::builder::{Builder, DEMO_NAME, DEMO_SCOPES};
use crate::emulator::Emulator;
use crate::oauth::Readings;

/// The command's options. Another command can flatten them into its own.
#[derive(Args, Clone)]
pub struct Options {
    /// Port to listen on, on 127.0.0.1; 0 takes any free one
    #[arg(long, default_value_t = 8477)]
    pub port: u16,

    /// Keep API keys and tokens (hashes of them) in this file, and start with what is in it; made if it is not there
    #[arg(long, value_name = "FILE")]
    pub state: Option<PathBuf>,

    /// Give the demo key of the state file a new secret and print it; --env-file does so too
    #[arg(long, requires = "state")]
    pub rotate_demo_key: bool,

    /// Lifetime of a token in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 1200)]
    pub expires_in: u64,

    /// Active API keys the account may have
    #[arg(long, value_name = "COUNT", default_value_t = 10)]
    pub max_keys: usize,

    /// Random bytes in a token; 675 make a text of about 900 characters
    #[arg(long, value_name = "BYTES", default_value_t = 40)]
    pub token_length: usize,

    /// Write the export lines to this file too (mode 0600) once the emulator listens; removed at the end. A file that
    /// holds anything else is left alone
    #[arg(long, value_name = "FILE")]
    pub env_file: Option<PathBuf>,

    /// Scopes of the demo key when it is made, blanks between them
    #[arg(long, value_name = "LIST", default_value = DEMO_SCOPES)]
    pub scopes: String,

    /// Client id of the demo key, for tests [default: random]
    #[arg(long, value_name = "ID")]
    pub client_id: Option<String>,

    /// Client secret of the demo key, for tests: others on this machine can see it [default: random]
    #[arg(long, value_name = "SECRET")]
    pub client_secret: Option<String>,

    /// Listen on ::1 instead of 127.0.0.1
    #[arg(long)]
    pub ipv6: bool,

    /// Status of invalid_client for credentials in the body
    #[arg(
        long,
        value_name = "400|401",
        default_value_t = 401,
        help_heading = "What the service's documentation leaves open"
    )]
    pub invalid_client_status: u16,

    /// Take credentials in the body alone, not by HTTP Basic
    #[arg(long, help_heading = "What the service's documentation leaves open")]
    pub no_basic: bool,

    /// A request without a scope gets all scopes of its key
    #[arg(long, help_heading = "What the service's documentation leaves open")]
    pub scope_optional: bool,

    /// Revoking a key ends its tokens
    #[arg(long, help_heading = "What the service's documentation leaves open")]
    pub revoke_ends_tokens: bool,

    /// The secret before a rotation works until the next rotation
    #[arg(long, help_heading = "What the service's documentation leaves open")]
    pub rotate_overlap: bool,

    /// A new token ends the earlier ones of its key
    #[arg(long, help_heading = "What the service's documentation leaves open")]
    pub single_token: bool,

    /// The account has no access to the API Keys application: keys stay as they are
    #[arg(long, help_heading = "What the service's documentation leaves open")]
    pub no_api_keys_app: bool,
}

impl Options {
    pub(crate) fn builder(&self) -> Builder {
        let mut demo =
            NewKey::new(DEMO_NAME, &self.scopes).description("made when the emulator was started");
        demo.client_id.clone_from(&self.client_id);
        demo.client_secret.clone_from(&self.client_secret);
        let builder = match &self.state {
            Some(path) => Emulator::builder().state(path),
            None => Emulator::builder(),
        };
        builder
            .port(self.port)
            .ipv6(self.ipv6)
            .expires_in(self.expires_in)
            .max_keys(self.max_keys)
            .token_length(self.token_length)
            .demo_key(demo)
            // Lines without a secret would be of no use in a file.
            .fresh_demo_key(self.rotate_demo_key || self.env_file.is_some())
            .readings(Readings {
                invalid_client_status: self.invalid_client_status,
                basic: !self.no_basic,
                scope_optional: self.scope_optional,
                revoke_ends_tokens: self.revoke_ends_tokens,
                rotate_overlap: self.rotate_overlap,
                single_token: self.single_token,
                api_keys_app: !self.no_api_keys_app,
            })
    }
}
