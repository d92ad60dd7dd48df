//! Which values may be shown.
//!
//! A value that may carry a secret is shown only if it has the plain form it should have. A typo
//! must not expose a password, so it does not suffice to search for signs of one such as `@`: a
//! proxy URL in which the `@` was forgotten, or written `%40`, has none.

use super::authority;
use super::table::OptionSpec;

/// Whether values of an option may be shown.
///
/// ```
/// let scope = tu_token::OPTIONS.iter().find(|option| option.key == "scope").unwrap();
/// assert_eq!(scope.secrecy, tu_token::Secrecy::Public);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Secrecy {
    /// They may be shown.
    Public,
    /// Usually not secret, but a value may contain a password: see [`OptionSpec::holds_secret`].
    MayCarrySecret,
    /// They must never be shown.
    Secret,
}

impl OptionSpec {
    /// Whether this value is a secret or may contain one, and must not be shown.
    ///
    /// ```
    /// let proxy = tu_token::OPTIONS.iter().find(|option| option.key == "proxy").unwrap();
    /// assert!(proxy.holds_secret("http://user:hush@proxy:3128"));
    /// assert!(!proxy.holds_secret("http://proxy:3128"));
    /// ```
    pub fn holds_secret(&self, value: &str) -> bool {
        match self.secrecy {
            Secrecy::Public => false,
            Secrecy::MayCarrySecret => !value.is_empty() && !(self.is_plain)(value),
            Secrecy::Secret => true,
        }
    }
}

/// Whether a text is `scheme://host[:port][/...]`, with nothing before the path that could be a
/// password.
pub(super) fn is_plain_url(text: &str) -> bool {
    let is_printable = authority::check_printable(text).is_ok();
    is_printable && !text.contains('@') && authority::of_url(text).is_ok()
}

/// `memory`, `file`, `file:<dir>`, or a lower-case word that is none of them. What follows `file:` may be a URL by
/// mistake: a directory with a colon is not shown.
pub(super) fn is_place(store: &str) -> bool {
    match store.strip_prefix("file:") {
        Some(directory) => !directory.contains(':'),
        None => store.bytes().all(|byte| byte.is_ascii_lowercase()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::table::OPTIONS;
    use super::*;

    #[test]
    fn a_url_in_place_of_a_directory_is_not_shown() {
        for shown in ["memory", "file", "file:/var/lib/x", "file:/home/me@corp.example/x", "disk"] {
            assert!(is_place(shown), "{shown}");
        }
        for hidden in
            ["file:redis://u:hush@host", "file:u:hush@host", "file:file:x", "FILE:x", "x:hush"]
        {
            assert!(!is_place(hidden), "{hidden}");
        }
    }

    #[test]
    fn a_url_is_shown_if_it_is_printable_and_has_no_user_info() {
        assert!(is_plain_url("https://host:1/x?y"));
        for hidden in ["https://host/:hush@x", "https://host/\u{e9}", "https://u@host", "hush"] {
            assert!(!is_plain_url(hidden), "{hidden}");
        }
    }

    #[test]
    fn each_options_secrecy_fits_its_values() {
        let of = |secrecy| OPTIONS.iter().filter(move |option| option.secrecy == secrecy);
        let keys = |secrecy| of(secrecy).map(|option| option.key).collect::<Vec<_>>();
        assert_eq!(keys(Secrecy::Secret), ["client_secret", "params"]);
        assert_eq!(keys(Secrecy::MayCarrySecret), ["token_url", "proxy", "store"]);
        for option in OPTIONS {
            assert_eq!(option.secret, option.secrecy != Secrecy::Public, "{}", option.key);
            // A default is public.
            assert!(option.default.is_empty() || !option.holds_secret(option.default));
            let is_secret = option.secrecy == Secrecy::Secret;
            assert_eq!(option.holds_secret(""), is_secret, "{}", option.key);
        }
    }
}
