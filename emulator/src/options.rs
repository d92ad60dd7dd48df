//! The command's options, shared by all programs that run it.

use std::path::PathBuf;

use clap::Args;

use crate::account::NewKey;
use crate::builder::{Builder, DEMO_NAME, DEMO_SCOPES};
use crate::emulator::Emulator;
use crate::oauth::Readings;

/// The command's options. Another command can flatten them into its own.
#[derive(Args, Clone)]
pub struct Options {
    /// Port to listen on (on 127.0.0.1); 0 means any free port
    #[arg(long, default_value_t = 8477)]
    pub port: u16,

    /// Store API keys and tokens (as hashes) in this file and load them at the start; created if missing
    #[arg(long, value_name = "FILE")]
    pub state: Option<PathBuf>,

    /// Give the demo key in the state file a new secret and print it; --env-file implies this
    #[arg(long, requires = "state")]
    pub rotate_demo_key: bool,

    /// Lifetime of tokens in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 1200)]
    pub expires_in: u64,

    /// Maximum number of active API keys
    #[arg(long, value_name = "COUNT", default_value_t = 10)]
    pub max_keys: usize,

    /// Random bytes in a token; 675 give a token of about 900 characters
    #[arg(long, value_name = "BYTES", default_value_t = 40)]
    pub token_length: usize,

    /// Also write the export lines to this file (mode 0600) once the emulator listens; removed at the end. A file with
    /// other content is left unchanged
    #[arg(long, value_name = "FILE")]
    pub env_file: Option<PathBuf>,

    /// Scopes of the demo key when it is created, separated by spaces
    #[arg(long, value_name = "LIST", default_value = DEMO_SCOPES)]
    pub scopes: String,

    /// Client id of the demo key, for tests [default: random]
    #[arg(long, value_name = "ID")]
    pub client_id: Option<String>,

    /// Client secret of the demo key, for tests: visible to other users of this machine [default: random]
    #[arg(long, value_name = "SECRET")]
    pub client_secret: Option<String>,

    /// Listen on ::1 instead of 127.0.0.1
    #[arg(long)]
    pub ipv6: bool,

    /// HTTP status of invalid_client for credentials in the body
    #[arg(
        long,
        value_name = "400|401",
        default_value_t = 401,
        help_heading = "Behaviour not specified by the service's documentation"
    )]
    pub invalid_client_status: u16,

    /// Accept credentials only in the body, not by HTTP Basic
    #[arg(long, help_heading = "Behaviour not specified by the service's documentation")]
    pub no_basic: bool,

    /// Grant a request without a scope all scopes of its key
    #[arg(long, help_heading = "Behaviour not specified by the service's documentation")]
    pub scope_optional: bool,

    /// Revoking a key also ends its tokens
    #[arg(long, help_heading = "Behaviour not specified by the service's documentation")]
    pub revoke_ends_tokens: bool,

    /// After a rotation the previous secret works until the next rotation
    #[arg(long, help_heading = "Behaviour not specified by the service's documentation")]
    pub rotate_overlap: bool,

    /// A new token ends the earlier ones of its key
    #[arg(long, help_heading = "Behaviour not specified by the service's documentation")]
    pub single_token: bool,

    /// The account has no access to the API Keys application: keys cannot be changed
    #[arg(long, help_heading = "Behaviour not specified by the service's documentation")]
    pub no_api_keys_app: bool,
}

impl Options {
    pub(crate) fn builder(&self) -> Builder {
        let mut demo = NewKey::new(DEMO_NAME, &self.scopes)
            .description("created when the emulator was started");
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
            // The lines in a file are useless without a secret.
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
