//! Which parts of option values may be shown, and which variables may be passed on. The option table
//! says which values may contain a secret.

use tu_token::{OPTIONS, OptionSpec};

/// Shown instead of a secret.
const HIDDEN: &str = "(hidden)";

/// A value in a form that may be shown.
pub fn shown(option: &OptionSpec, value: &str) -> String {
    let printable: String = value.chars().filter(|letter| !letter.is_control()).collect();
    if !option.holds_secret(&printable) {
        return printable;
    }
    match printable.find(['?', '#']) {
        // Show everything up to the end of the path.
        Some(end) if !option.holds_secret(&printable[..end]) => without_query(&printable),
        _ => HIDDEN.to_owned(),
    }
}

/// A URL in a form that may be shown: its query or fragment may contain a secret.
pub fn without_query(url: &str) -> String {
    match url.find(['?', '#']) {
        Some(end) => format!("{}{}...", &url[..end], &url[end..=end]),
        None => url.to_owned(),
    }
}

/// Whether an environment variable must be withheld from other programs, because it contains, may
/// contain or points to a secret, or its name is a misspelling of such a variable.
pub fn is_to_be_kept(name: &str, value: &str) -> bool {
    let keeps = |option: &OptionSpec| option.leads_to_secret || option.holds_secret(value);
    match OPTIONS.iter().find(|option| option.env_name() == name) {
        Some(option) => keeps(option),
        None => crate::settings::meant(name).is_some_and(keeps),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn option(key: &str) -> &'static OptionSpec {
        OPTIONS.iter().find(|option| option.key == key).expect("an option")
    }

    #[test]
    fn correct_values_are_shown() {
        for (key, value) in [
            ("proxy", "none"),
            ("proxy", "http://proxy:3128"),
            ("proxy", "socks5h://[::1]:1080"),
            ("proxy", "https://proxy.example./"),
            ("store", "file"),
            ("store", "file:/var/lib/tokens"),
            ("store", "redis://cache:6379/0"),
            ("store", "nonsense"),
            ("token_url", "https://auth.example:8443/token/v2"),
            ("scope", "asset.view"),
        ] {
            assert_eq!(shown(option(key), value), value);
        }
    }

    #[test]
    fn values_that_may_contain_a_password_are_hidden() {
        for (key, value) in [
            ("proxy", "http://user:hush@proxy:1"),
            ("proxy", "user:hush@proxy:1"),
            ("proxy", "user:hush"),
            ("proxy", "http:/user:hush@proxy"),
            ("proxy", "http://user:hush"),
            ("proxy", "http://user:hush%40proxy:1"),
            ("proxy", "http://user:hush proxy:1"),
            ("proxy", "http://user:hush\u{ff20}proxy:1"),
            ("proxy", "http://proxy:1/user:hush@"),
            ("proxy", "\thttp://user:hush@proxy:1"),
            ("store", "redis://:hush@cache"),
            ("store", "redis://user:hush"),
            ("store", "redis:hush"),
            ("token_url", "https://user:hush@auth.example/token"),
            ("token_url", "https://user:hush%40auth.example/token"),
            ("token_url", "https//user:hush/token"),
            ("token_url", "https://auth.example/token?key=hush"),
            ("token_url", "https://auth.example/token#hush"),
            ("token_url", "https://auth.example?hush"),
            ("token_url", "auth.example/token?key=hush"),
            ("params", "audience=hush"),
            ("client_secret", "hush"),
        ] {
            let told = shown(option(key), value);
            assert!(!told.contains("hush"), "{key} {value}: {told}");
            assert!(option(key).holds_secret(value), "{key} {value}");
        }
        let told = shown(option("token_url"), "https://auth.example/token?key=hush");
        assert_eq!(told, "https://auth.example/token?...");
    }

    #[test]
    fn a_program_gets_what_holds_no_secret() {
        for (name, value, kept) in [
            ("TRACKUNIT_CLIENT_SECRET", "hush", true),
            ("TRACKUNIT_CLIENT_SECRET_FILE", "/run/secret", true),
            ("TRACKUNIT_CLIENT_KEY_FILE", "/run/key", true),
            ("TRACKUNIT_PARAMS", "a=hush", true),
            ("TRACKUNIT_PROXY", "http://user:hush@proxy", true),
            ("TRACKUNIT_PROXY", "http://proxy:3128", false),
            ("TRACKUNIT_TOKEN_URL", "https://auth.example/token?key=hush", true),
            ("TRACKUNIT_TOKEN_URL", "https://auth.example/token", false),
            // Almost.
            ("TRACKUNIT_CLIENT_SECERT", "hush", true),
            ("TRACKUNIT_CLIENTSECRET", "hush", true),
            ("trackunit_client_secret", "hush", true),
            ("TRACKUNIT_SCOPE", "asset.view", false),
            ("TRACKUNIT_NAME", "me", false),
            ("TRACKUNIT_TOKEN", "an older one", false),
            ("HTTPS_PROXY", "http://user:hush@proxy", false),
        ] {
            assert_eq!(is_to_be_kept(name, value), kept, "{name}={value}");
        }
    }
}
