//! Behaviour that the service's documentation leaves open.

/// Choices for behaviour that the service's documentation leaves open. The defaults are closest to the standards.
///
/// ```
/// use tu_token_emulator::{Emulator, Readings};
///
/// let readings = Readings { revoke_ends_tokens: true, ..Readings::default() };
/// let emulator = Emulator::builder().readings(readings).start()?;
/// # Ok::<(), tu_token_emulator::StartError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Readings {
    /// The status of `invalid_client` when the credentials came in the body: 401, or 400.
    pub invalid_client_status: u16,
    /// Whether credentials may be sent by HTTP Basic.
    pub basic: bool,
    /// Whether a request without a scope gets all scopes of its key instead of `invalid_scope`.
    pub scope_optional: bool,
    /// Whether revoking a key also ends its tokens.
    pub revoke_ends_tokens: bool,
    /// Whether the previous secret works until the next rotation.
    pub rotate_overlap: bool,
    /// Whether a new token ends the earlier ones of its key.
    pub single_token: bool,
    /// Whether the account has access to the API Keys application, so that keys can be created, rotated and revoked while
    /// the emulator runs. Keys present at the start work in any case.
    pub api_keys_app: bool,
}

impl Default for Readings {
    fn default() -> Readings {
        Readings {
            invalid_client_status: 401,
            basic: true,
            scope_optional: false,
            revoke_ends_tokens: false,
            rotate_overlap: false,
            single_token: false,
            api_keys_app: true,
        }
    }
}
