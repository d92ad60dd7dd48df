//! The command's output: lines for a shell, with text for people in `#` comments.

use crate::account::ApiKey;
use crate::builder::DEMO_NAME;
use crate::emulator::Emulator;
use crate::route::TOKEN_PATH;

/// The emulator's address, the lines, and notes about the demo key.
pub(crate) fn announcement(emulator: &Emulator, exports: &str) -> String {
    let url = emulator.url();
    let first =
        format!("# The emulator listens on {url} until Ctrl-C. Paste into your program's shell:\n");
    let page = format!("# API keys, requests, clock and faults: {url}/\n");
    if let Some(key) = emulator.issued_demo_key() {
        let scopes = key.scopes.join(" ");
        return format!("{first}{exports}# The key allows: {scopes}\n{page}");
    }
    let keys = emulator.keys().iter().filter(|key| key.is_active()).count();
    let kept = format!(
        "# Active API keys in the state file: {keys}. The file does not contain their secrets.\n"
    );
    let remedy =
        "# To get a new secret, rotate a key on the page or start with --rotate-demo-key.\n";
    format!("{first}{exports}{kept}{remedy}{page}")
}

/// The variables that the lines set, in order.
const NAMES: [&str; 5] = [
    "TRACKUNIT_CLIENT_ID",
    "TRACKUNIT_CLIENT_SECRET",
    "TRACKUNIT_SCOPE",
    "TRACKUNIT_TOKEN_URL",
    "IRIS_URL",
];

/// Four lines with the options for a client, and a fifth with the base URL of the API. The line with the secret is a comment
/// if the secret is not known. Without a demo key there are only the last two lines.
pub(crate) fn exports(emulator: &Emulator) -> String {
    let [id_name, secret_name, scope_name, token_name, base_name] = NAMES;
    let urls = export(token_name, &emulator.token_url()) + &export(base_name, &emulator.url());
    let (client_id, secret, scopes) = match (emulator.issued_demo_key(), kept_demo(emulator)) {
        (Some(key), _) => {
            let secret = export(secret_name, &key.client_secret);
            (key.client_id.clone(), secret, key.scopes.clone())
        }
        (None, Some(key)) => {
            let secret = format!("# export {secret_name}=... (the one you saved)\n");
            (key.client_id, secret, key.scopes)
        }
        (None, None) => return urls,
    };
    let scope = export(scope_name, usual_scope(&scopes));
    [export(id_name, &client_id), secret, scope, urls].concat()
}

/// Whether a text consists only of the lines of an emulator on this machine, as in an env file. Earlier versions wrote only
/// the first four.
pub(crate) fn are_exports(text: &str) -> bool {
    let Some(lines) = text.strip_suffix('\n') else {
        return false;
    };
    let pairs: Option<Vec<(&str, &str)>> =
        lines.split('\n').map(|line| line.strip_prefix("export ")?.split_once('=')).collect();
    pairs.is_some_and(|pairs| {
        let names: Vec<&str> = pairs.iter().map(|(name, _)| *name).collect();
        (names == NAMES || names == NAMES[..4])
            && pairs.iter().all(|(_, value)| is_quoted(value))
            && is_endpoint(pairs[3].1)
    })
}

/// Whether this is an emulator's token endpoint. Lines with the real one may be the user's own.
fn is_endpoint(value: &str) -> bool {
    let value = value.trim_matches('\'');
    let host =
        ["http://127.0.0.1:", "http://[::1]:"].iter().find_map(|base| value.strip_prefix(base));
    host.and_then(|rest| rest.strip_suffix(TOKEN_PATH))
        .is_some_and(|port| port.parse::<u16>().is_ok())
}

/// Whether a value is one word as [`quoted`] writes it.
fn is_quoted(value: &str) -> bool {
    let inner = value.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\''));
    quoted(&inner.unwrap_or(value).replace(r"'\''", "'")) == value
}

/// The scope that a first program requests.
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
            assert!(is_quoted(word), "{word}");
        }
    }

    #[test]
    fn only_the_lines_of_an_emulator_are_recognised() {
        let emulator = Emulator::start().expect("an emulator");
        let lines = exports(&emulator);
        assert_eq!(lines.lines().count(), 5);
        assert!(are_exports(&lines));
        let four: String = lines.lines().take(4).map(|line| format!("{line}\n")).collect();
        assert!(are_exports(&four), "as earlier versions wrote them");
        let port = emulator.address().port().to_string();
        let six = export(NAMES[3], &format!("http://[::1]:{port}/token/v2"));
        let three: String = lines.lines().take(3).map(|line| format!("{line}\n")).collect();
        assert!(are_exports(&format!("{three}{six}")));
        let first = lines.lines().next().expect("a line");
        for other in [
            String::new(),
            "\n".to_owned(),
            format!("{first}\n"),
            six,
            lines.trim_end().to_owned(),
            format!("{lines}A=mine\n"),
            format!("{lines}# mine\n"),
            format!("\n{lines}"),
            format!("{lines}{lines}"),
            lines.replace("127.0.0.1", "auth.example"),
            lines.replace("http://127.0.0.1", "https://127.0.0.1"),
            lines.replace("asset.view", "$(mine)"),
            lines.replace("export ", ""),
        ] {
            assert!(!are_exports(&other), "{other}");
        }
    }
}
