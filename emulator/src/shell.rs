//! What the command prints: lines for a shell, and behind a `#` what is meant for people.

use crate::account::ApiKey;
use crate::builder::DEMO_NAME;
use crate::emulator::Emulator;

/// Where the emulator is, the lines, and what is to be known about the demo key.
pub(crate) fn announcement(emulator: &Emulator, exports: &str) -> String {
    let url = emulator.url();
    let first = format!("# The emulator listens on {url} until Ctrl-C. For a program's shell:\n");
    let page = format!("# API keys, requests, clock and faults: {url}/\n");
    if let Some(key) = emulator.issued_demo_key() {
        let scopes = key.scopes.join(" ");
        return format!("{first}{exports}# The key allows: {scopes}\n{page}");
    }
    let keys = emulator.keys().iter().filter(|key| key.is_active()).count();
    let kept = format!(
        "# API keys from the state file that are active: {keys}. Their secrets are not in it.\n"
    );
    let remedy = "# For a new secret: rotate a key on the page, or start with --rotate-demo-key.\n";
    format!("{first}{exports}{kept}{remedy}{page}")
}

/// Four lines that tell a program where to ask, and as whom. The one with the secret is a comment when the secret is
/// not known; without a demo key there is only the last.
pub(crate) fn exports(emulator: &Emulator) -> String {
    let token_url = export("TRACKUNIT_TOKEN_URL", &emulator.token_url());
    let (client_id, secret, scopes) = match (emulator.issued_demo_key(), kept_demo(emulator)) {
        (Some(key), _) => {
            let secret = export("TRACKUNIT_CLIENT_SECRET", &key.client_secret);
            (key.client_id.clone(), secret, key.scopes.clone())
        }
        (None, Some(key)) => {
            let secret = "# export TRACKUNIT_CLIENT_SECRET=... (the one you have)\n".to_owned();
            (key.client_id, secret, key.scopes)
        }
        (None, None) => return token_url,
    };
    let scope = export("TRACKUNIT_SCOPE", usual_scope(&scopes));
    let client_id = export("TRACKUNIT_CLIENT_ID", &client_id);
    [client_id, secret, scope, token_url].concat()
}

/// The one of a key's scopes that a first program asks for.
pub(crate) fn usual_scope(scopes: &[String]) -> &str {
    let usual = scopes.iter().find(|scope| *scope == "asset.view").or(scopes.first());
    usual.map_or("", String::as_str)
}

fn kept_demo(emulator: &Emulator) -> Option<ApiKey> {
    emulator.keys().into_iter().find(|key| key.is_active() && key.name == DEMO_NAME)
}

fn export(name: &str, value: &str) -> String {
    format!("export {name}={}\n", quoted(value))
}

/// The value as one word of a POSIX shell.
fn quoted(value: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./:".contains(letter);
    if !value.is_empty() && value.chars().all(plain) {
        return value.to_owned();
    }
    format!("'{}'", value.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_one_word_for_a_shell() {
        for (value, word) in [
            ("abc-_.1", "abc-_.1"),
            ("http://127.0.0.1:1/token/v2", "http://127.0.0.1:1/token/v2"),
            ("a b", "'a b'"),
            ("$(x)`y`", "'$(x)`y`'"),
            ("it's", r"'it'\''s'"),
            ("", "''"),
        ] {
            assert_eq!(quoted(value), word);
        }
    }
}
