//! The commands in the service's documentation, run by a shell and the real curl, with only the host and the placeholders
//! replaced. curl's output is compared byte for byte, except for the token and the date.

#![cfg(unix)]

use std::io::{ErrorKind, Write as _};
use std::process::Command;

use crate::common::get;
use tu_token_emulator::Emulator;

const HOST: &str = "https://auth.trackunit.com";
const TOKEN: &str = "curl --location 'https://auth.trackunit.com/token/v2' \\
  --header 'Content-Type: application/x-www-form-urlencoded' \\
  --data-urlencode 'grant_type=client_credentials' \\
  --data-urlencode 'client_id=CLIENT_ID' \\
  --data-urlencode 'client_secret=CLIENT_SECRET' \\
  --data-urlencode 'scope=AVAILABLE_SCOPES_SEPARATED_WITH_SPACE'
";
const QUICK: &str = "curl --location 'https://auth.trackunit.com/token/v2' \\
  --header 'Content-Type: application/x-www-form-urlencoded' \\
  --data-urlencode 'grant_type=client_credentials' \\
  --data-urlencode 'client_id=CLIENT_ID' \\
  --data-urlencode 'client_secret=CLIENT_SECRET' \\
  --data-urlencode 'scope=scope1 scope2'
";

/// Runs a command as a user would paste it. The options to show headers and use no proxy are in curl's config file, so that
/// the command stays unchanged. `None` if there is no curl.
fn run(emulator: &Emulator, command: &str) -> Option<String> {
    if let Err(error) = Command::new("curl").arg("--version").output() {
        assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
        // Bypasses the test runner, which would capture it.
        let _ =
            writeln!(std::io::stderr(), "\nSKIPPED: curl is missing, so its commands are not run");
        return None;
    }
    let home = tempfile::tempdir().expect("a directory");
    std::fs::write(home.path().join(".curlrc"), "include\nsilent\nshow-error\nnoproxy = \"*\"\n")
        .expect("written");
    let output = Command::new("sh")
        .args(["-c", &command.replace(HOST, &emulator.url())])
        .env("CURL_HOME", home.path())
        .output()
        .expect("a shell");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).expect("text"))
}

fn filled_in(emulator: &Emulator, command: &str, scope: &str) -> String {
    let key = emulator.demo_key();
    command
        .replace("CLIENT_ID", &key.client_id)
        .replace("CLIENT_SECRET", &key.client_secret)
        .replace("AVAILABLE_SCOPES_SEPARATED_WITH_SPACE", scope)
}

/// The complete response to a token request.
fn whole(status: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncache-control: no-store\r\n\
         pragma: no-cache\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// The date is the only header that varies.
fn without_date(shown: &str) -> String {
    let (head, body) = shown.split_once("\r\n\r\n").expect("head and body");
    let lines: Vec<&str> = head.split("\r\n").filter(|line| !line.starts_with("date: ")).collect();
    assert_eq!(lines.len() + 1, head.split("\r\n").count(), "one date: {head}");
    format!("{}\r\n\r\n{body}", lines.join("\r\n"))
}

/// The token in the output, after everything else has been compared.
fn token_of(shown: &str, scope: &str) -> String {
    let quoted = shown.split("\"access_token\": \"").nth(1).expect("a token");
    let token = quoted.split('"').next().unwrap_or_default();
    let body = format!(
        "{{\n  \"token_type\": \"Bearer\",\n  \"expires_in\": 1200,\n  \"access_token\": \"{token}\",\n  \"scope\": \"{scope}\"\n}}"
    );
    assert_eq!(without_date(shown), whole("200 OK", &body));
    token.to_owned()
}

#[test]
fn the_command_gets_a_token_and_gets_another_one_when_repeated() {
    let emulator = Emulator::start().expect("an emulator");
    for (command, scope) in
        [(TOKEN, "asset.view"), (TOKEN, "site.view asset.view"), (QUICK, "scope1 scope2")]
    {
        let command = filled_in(&emulator, command, scope);
        let Some(first) = run(&emulator, &command) else { return };
        let second = run(&emulator, &command).expect("curl is there");
        let (first, second) = (token_of(&first, scope), token_of(&second, scope));
        assert_ne!(first, second);
        for token in [first, second] {
            let seen = get(&emulator, "/api/asset/v2/assets", &token).status;
            assert_eq!(seen, if scope.contains("asset.view") { 200 } else { 403 });
        }
    }
}

#[test]
fn the_command_is_refused_with_the_documented_error() {
    let emulator = Emulator::start().expect("an emulator");
    for scope in ["site.update", "asset.view site.update", "AVAILABLE_SCOPES_SEPARATED_WITH_SPACE"]
    {
        let Some(shown) = run(&emulator, &filled_in(&emulator, TOKEN, scope)) else { return };
        let body = "{\n  \"error\": \"invalid_scope\",\n  \"error_description\": \"Requested scope is not allowed for this API Key.\"\n}";
        assert_eq!(without_date(&shown), whole("400 Bad Request", body));
    }
}

#[test]
fn the_command_with_other_mistakes_is_refused_by_name() {
    let emulator = Emulator::start().expect("an emulator");
    let good = filled_in(&emulator, QUICK, "");
    let secret = &emulator.demo_key().client_secret;
    for (command, status, error) in [
        (QUICK.to_owned(), "401 Unauthorized", "invalid_client"),
        (good.replace(secret, "wrong"), "401 Unauthorized", "invalid_client"),
        (
            good.replace("client_credentials", "password"),
            "400 Bad Request",
            "unsupported_grant_type",
        ),
    ] {
        let Some(shown) = run(&emulator, &command) else { return };
        let body = shown.split_once("\r\n\r\n").expect("head and body").1;
        assert_eq!(without_date(&shown), whole(status, body));
        assert!(body.starts_with(&format!("{{\n  \"error\": \"{error}\",\n")), "{body}");
    }
    assert_eq!(emulator.keys()[0].tokens_minted, 0);
}
