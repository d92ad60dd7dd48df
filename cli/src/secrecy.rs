//! Which values may hold a secret: what of an option may be shown, and what may be handed on.
//!
//! A value is shown if it has the plain form that it should have. A slip of the pen must not show
//! a password, so nothing is looked for that would give one away, such as an `@`: a proxy's URL in
//! which it was forgotten, or written `%40`, has none.

use tu_token::{OPTIONS, OptionSpec};

/// Stands for a secret.
const HIDDEN: &str = "(hidden)";
/// Files that hold one. Their paths are no secrets, but of no use to whoever should not read them.
const FILES_OF_SECRETS: [&str; 2] = ["client_secret_file", "client_key_file"];

/// Whether a value is a secret, or may hold one.
pub fn holds_secret(option: &OptionSpec, value: &str) -> bool {
    match option.key {
        // Marked because of what may stand in it; the JSON of `options` asks with nothing.
        "token_url" | "proxy" | "store" if value.is_empty() => false,
        "token_url" => !is_plain_url(value) || value.contains(['?', '#']),
        "proxy" => value != "none" && !is_plain_url(value),
        "store" => !is_place(value) && !is_plain_url(value),
        _ => option.secret,
    }
}

/// A value as it may be shown.
pub fn shown(option: &OptionSpec, value: &str) -> String {
    let printable: String = value.chars().filter(|letter| !letter.is_control()).collect();
    match option.key {
        "token_url" if is_plain_url(&printable) => without_query(&printable),
        _ if holds_secret(option, &printable) => HIDDEN.to_owned(),
        _ => printable,
    }
}

/// A URL as it may be shown: behind its path a secret may stand.
pub fn without_query(url: &str) -> String {
    match url.find(['?', '#']) {
        Some(end) => format!("{}{}...", &url[..end], &url[end..=end]),
        None => url.to_owned(),
    }
}

/// Whether a variable of the environment is for `tu-token` alone: it is, or may hold, a secret, or
/// leads to one. So is one that is written almost like that.
pub fn is_to_be_kept(name: &str, value: &str) -> bool {
    let keeps =
        |option: &OptionSpec| FILES_OF_SECRETS.contains(&option.key) || holds_secret(option, value);
    match OPTIONS.iter().find(|option| option.env_name() == name) {
        Some(option) => keeps(option),
        None => crate::settings::meant(name).is_some_and(keeps),
    }
}

/// `memory`, `file`, `file:<dir>`, or a word that stands for none of them.
fn is_place(store: &str) -> bool {
    store.starts_with("file:") || store.bytes().all(|byte| byte.is_ascii_lowercase())
}

/// Whether a text is `scheme://host[:port][/...]`, and nothing in front of the path could be a
/// password.
fn is_plain_url(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once("://") else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let is_address = |host: &str| host.starts_with('[') && host.ends_with(']');
    let is_host = match is_address(host) {
        true => host[1..host.len() - 1].parse::<std::net::Ipv6Addr>().is_ok(),
        false => !host.is_empty() && host.bytes().all(is_word),
    };
    let is_port = port.is_none_or(|digits| digits.parse::<u16>().is_ok());
    let is_path = rest.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'@');
    scheme.bytes().all(|byte| byte.is_ascii_alphanumeric()) && is_host && is_port && is_path
}

#[cfg(test)]
mod tests {
    use super::*;

    fn option(key: &str) -> &'static OptionSpec {
        OPTIONS.iter().find(|option| option.key == key).expect("an option")
    }

    #[test]
    fn what_is_written_as_it_should_be_is_shown() {
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
    fn what_may_hold_a_password_is_not() {
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
            assert!(holds_secret(option(key), value), "{key} {value}");
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
