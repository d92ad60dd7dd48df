//! The state file: what it stores, what it does not reveal, and what it refuses.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use crate::common::process::{command, exported, read_start, spawn};
use crate::common::state_file::{place, start};
use crate::common::{FORM, form, get, post, send, token};
use tu_token_emulator::{Emulator, NewKey, Readings, StartError, StateError};

const ASSETS: &str = "/api/asset/v2/assets";

fn refused(file: &Path) -> StateError {
    match Emulator::builder().state(file).start() {
        Err(StartError::State(error)) => error,
        other => panic!("{other:?}"),
    }
}

fn ask(lines: &[String], id: &str, secret: &str) -> crate::common::Answer {
    let url = exported(lines, "TOKEN_URL").expect("a url");
    let body = format!(
        "grant_type=client_credentials&client_id={id}&client_secret={secret}&scope=asset.view"
    );
    send("POST", url, &[("content-type", FORM)], &body)
}

#[test]
fn a_killed_emulator_loses_nothing_it_acknowledged() {
    let (_directory, file) = place();
    let (first, lines) = spawn(&file, &[]);
    let id = exported(&lines, "CLIENT_ID").expect("an id").to_owned();
    let secret = exported(&lines, "CLIENT_SECRET").expect("a secret").to_owned();
    let minted = ask(&lines, &id, &secret).member("access_token");
    ask(&lines, &id, &secret);
    let base = exported(&lines, "TOKEN_URL").expect("a url").replace("/token/v2", "");
    let json = [("content-type", "application/json")];
    let made =
        send("POST", &format!("{base}/api-keys"), &json, r#"{"name":"two","scopes":"asset.view"}"#);
    let (id_2, secret_2) = (made.member("client_id"), made.member("client_secret"));
    drop(first);

    let (_second, lines) = spawn(&file, &[]);
    assert_eq!(exported(&lines, "CLIENT_SECRET"), None, "{lines:?}");
    assert_eq!(exported(&lines, "CLIENT_ID"), Some(id.as_str()));
    let text = lines.join("\n");
    assert!(
        text.contains("# export TRACKUNIT_CLIENT_SECRET=") && text.contains("--rotate-demo-key"),
        "{text}"
    );
    let base = exported(&lines, "TOKEN_URL").expect("a url").replace("/token/v2", "");
    let good = format!("Bearer {minted}");
    assert_eq!(
        send("GET", &format!("{base}{ASSETS}"), &[("authorization", &good)], "").status,
        200
    );
    let shown = send("GET", &format!("{base}/api-keys/{id}"), &[], "");
    assert!(shown.body.contains("\"tokens_minted\":2,\"last_used\":\"20"), "{}", shown.body);
    assert_eq!(ask(&lines, &id, &secret).status, 200);
    assert_eq!(ask(&lines, &id_2, &secret_2).status, 200);
    assert_eq!(ask(&lines, &id_2, &secret).status, 401);
}

#[test]
fn a_new_secret_for_the_demo_key_is_printed_on_request() {
    let (directory, file) = place();
    let env = directory.path().join("env");
    let env = env.to_str().expect("a readable path");
    let (mut last_id, mut last_secret) = (String::new(), String::new());
    for arguments in
        [&[][..], &["--rotate-demo-key"], &["--env-file", env], &["--client-secret", "mine"]]
    {
        let (_emulator, lines) = spawn(&file, arguments);
        let id = exported(&lines, "CLIENT_ID").expect("an id");
        let secret = exported(&lines, "CLIENT_SECRET").expect("a secret");
        assert_eq!(ask(&lines, id, secret).status, 200, "{arguments:?}");
        assert_ne!(secret, last_secret);
        assert!(last_id.is_empty() || last_id == id, "it is the same key");
        (last_id, last_secret) = (id.to_owned(), secret.to_owned());
    }
    let (_emulator, lines) = spawn(&file, &["--client-secret", "mine"]);
    let url = exported(&lines, "TOKEN_URL").expect("a url").replace("/token/v2", "/api-keys");
    let list = send("GET", &url, &[], "").body;
    assert_eq!(list.matches("client_id").count(), 1, "{list}");
}

#[cfg(unix)]
#[test]
fn neither_secrets_nor_tokens_are_in_the_file() {
    use std::os::unix::fs::PermissionsExt as _;

    let (_directory, file) = place();
    let emulator = start(&file);
    let mut secrets = vec![emulator.demo_key().client_secret.clone()];
    secrets.push(emulator.create_key(NewKey::new("two", "a")).expect("a key").client_secret);
    secrets.push(emulator.rotate(&emulator.demo_key().client_id).expect("rotated").client_secret);
    let mut key = emulator.demo_key().clone();
    key.client_secret.clone_from(&secrets[2]);
    secrets.push(post(&emulator, &form(&key, "asset.view")).member("access_token"));
    assert_eq!(std::fs::metadata(&file).expect("a file").permissions().mode() & 0o777, 0o600);
    drop(emulator);
    let bytes = std::fs::read(&file).expect("a file");
    let has = |text: &[u8]| bytes.windows(text.len()).any(|window| window == text);
    assert!(has(key.client_id.as_bytes()), "the test can find what is there");
    for secret in &secrets {
        let random = secret.split_once('_').expect("a prefix").1;
        assert!(!has(random.as_bytes()), "{secret} is in the file");
    }
}

#[test]
fn tokens_and_keys_survive_a_restart() {
    let (_directory, file) = place();
    let emulator = start(&file);
    let key = emulator.demo_key().clone();
    let early = token(&emulator, "asset.view");
    emulator.advance(Duration::from_secs(600));
    let late = token(&emulator, "site.view");
    let gone = emulator.create_key(NewKey::new("gone", "asset.view")).expect("a key");
    let of_gone = post(&emulator, &form(&gone, "asset.view")).member("access_token");
    emulator.revoke(&gone.client_id).expect("revoked");
    let fingerprint = emulator.journal()[0].body_fingerprint.clone();
    drop(emulator);

    let emulator = start(&file);
    assert!(emulator.issued_demo_key().is_none());
    assert_eq!(
        crate::common::control(&emulator, "GET", "clock", "")
            .body
            .matches("\"offset_ms\":0,")
            .count(),
        1
    );
    let keys = emulator.keys();
    assert_eq!((keys[0].tokens_minted, keys[0].is_active()), (2, true));
    assert_eq!((keys[1].tokens_minted, keys[1].is_active()), (1, false));
    assert!(keys[0].last_used <= Some(now(&emulator)), "the past is not in the future");
    assert_eq!(post(&emulator, &form(&gone, "asset.view")).status, 401);
    assert_eq!(post(&emulator, &form(&key, "asset.view")).status, 200);
    assert_eq!(emulator.journal()[1].body_fingerprint, fingerprint, "equal bodies, equal names");
    // The first token had 600 seconds left, the others all of their 1200; the clock has been reset.
    for (seconds, statuses) in
        [(0, [200, 403, 200]), (601, [401, 403, 200]), (600, [401, 401, 401])]
    {
        emulator.advance(Duration::from_secs(seconds));
        let seen = [&early, &late, &of_gone].map(|token| get(&emulator, ASSETS, token).status);
        assert_eq!(seen, statuses, "{seconds}");
    }
}

/// The emulator's time.
fn now(emulator: &Emulator) -> String {
    crate::common::control(emulator, "GET", "clock", "").member("time")
}

#[test]
fn tokens_that_were_ended_do_not_come_back() {
    let (_directory, file) = place();
    let readings = Readings { revoke_ends_tokens: true, single_token: true, ..Readings::default() };
    let builder = Emulator::builder().state(&file).readings(readings);
    let emulator = builder.clone().start().expect("an emulator");
    let key = emulator.create_key(NewKey::new("gone", "asset.view")).expect("a key");
    let revoked = post(&emulator, &form(&key, "asset.view")).member("access_token");
    emulator.revoke(&key.client_id).expect("revoked");
    let (first, second) = (token(&emulator, "asset.view"), token(&emulator, "asset.view"));
    drop(emulator);
    let emulator = builder.start().expect("an emulator");
    let seen = [&revoked, &first, &second].map(|token| get(&emulator, ASSETS, token).status);
    assert_eq!(seen, [401, 401, 200]);
}

#[test]
fn limits_and_names_hold_over_a_restart() {
    let (_directory, file) = place();
    let builder = Emulator::builder().state(&file).max_keys(2);
    let emulator = builder.clone().start().expect("an emulator");
    emulator.create_key(NewKey::new("two", "a")).expect("a key");
    drop(emulator);
    let emulator = builder.start().expect("an emulator");
    assert!(emulator.create_key(NewKey::new("three", "a")).is_err());
    emulator.revoke(&emulator.keys()[0].client_id).expect("revoked");
    assert!(emulator.create_key(NewKey::new("two", "a")).is_err());
    emulator.create_key(NewKey::new("demo", "a")).expect("a key");
}

#[test]
fn two_emulators_do_not_share_a_file() {
    let (_directory, file) = place();
    let emulator = start(&file);
    assert_eq!(refused(&file), StateError::InUse(file.clone()));
    let Output { status, stderr, .. } = command(&file, &[]).output().expect("ran");
    let text = String::from_utf8_lossy(&stderr).into_owned();
    assert_eq!(status.code(), Some(2), "{text}");
    assert!(text.contains("in use by another emulator"), "{text}");
    assert!(!token(&emulator, "asset.view").is_empty(), "the first one goes on");
    drop(emulator);
    start(&file);
}

#[test]
fn other_files_are_left_unchanged() {
    let (directory, file) = place();
    drop(start(&file));
    let whole = std::fs::read(&file).expect("a file");
    let mut spoilt = whole.clone();
    for byte in &mut spoilt[4096..] {
        *byte ^= 0x55;
    }
    for (bytes, ours) in [
        (b"r".to_vec(), false),
        (b"hello\n".to_vec(), false),
        (b"SQLite format 3\0".to_vec(), false),
        (vec![0; 10_000], false),
        (whole[..5_000].to_vec(), true),
        (whole[..whole.len() / 2].to_vec(), true),
        (spoilt, true),
    ] {
        std::fs::write(&file, &bytes).expect("written");
        let Output { status, stderr, stdout } = command(&file, &[]).output().expect("ran");
        let text = String::from_utf8_lossy(&stderr).into_owned();
        let reason = if ours { "is damaged" } else { "is not a state file" };
        assert!(text.contains(reason) && text.lines().count() == 1, "{text}");
        assert_eq!((status.code(), stdout.len()), (Some(2), 0), "{text}");
        assert!(std::fs::read(&file).expect("a file") == bytes, "nothing was overwritten");
    }
    let unusable = refused(&directory.path().join("no/such/place"));
    assert!(matches!(unusable, StateError::Unusable(..)), "{unusable}");
    std::fs::write(&file, "").expect("written");
    start(&file);
}

/// Limits the size of the file, like a full disk.
#[cfg(unix)]
#[test]
fn nothing_is_issued_that_cannot_be_stored() {
    let (_directory, file) = place();
    drop(start(&file));
    let blocks = std::fs::metadata(&file).expect("a file").len() / 512;
    let limits = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$@\"");
    let whole = command(&file, &["--rotate-demo-key"]);
    let mut limited = Command::new("sh");
    limited.args(["-c", &limits, "sh"]).arg(whole.get_program()).args(whole.get_args());
    limited.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let (child, lines) = read_start(&mut limited);
    let url = exported(&lines, "TOKEN_URL").expect("a url");
    let base = url.replace("/token/v2", "");
    let json = [("content-type", "application/json")];
    let scopes: Vec<String> = (0..200).map(|n| format!("{n:0100}")).collect();
    let wanted = format!(r#"{{"name":"large","scopes":"{}"}}"#, scopes.join(" "));
    let made = send("POST", &format!("{base}/api-keys"), &json, &wanted);
    let (id, secret) = (made.member("client_id"), made.member("client_secret"));
    let credentials =
        format!("grant_type=client_credentials&client_id={id}&client_secret={secret}");
    let body = format!("{credentials}&scope={}", scopes.join("+"));
    let mut minted = 0;
    let failed = loop {
        assert!(minted < 1_000, "the limit has no effect");
        let answer = send("POST", url, &[("content-type", FORM)], &body);
        if answer.status != 200 {
            break answer;
        }
        minted += 1;
    };
    assert_eq!((failed.status, failed.member("error").as_str()), (500, "server_error"));
    for (method, path, body) in
        [("POST", format!("/{id}/rotate"), "{}"), ("DELETE", format!("/{id}"), "")]
    {
        let refused = send(method, &format!("{base}/api-keys{path}"), &json, body);
        assert_eq!((refused.status, refused.member("code").as_str()), (500, "NOT_KEPT"));
    }
    // Refused changes have not happened, however often they are repeated.
    let clock = format!("{base}/_emulator/clock");
    for _ in 0..2 {
        assert_eq!(send("POST", &clock, &json, r#"{"advance":"20m"}"#).status, 500);
        assert!(send("GET", &clock, &[], "").body.contains("\"offset_ms\":0,"));
    }
    let shown = send("GET", &format!("{base}/api-keys/{id}"), &[], "");
    assert_eq!(
        (shown.member("state").as_str(), shown.body.contains("\"rotated\":null")),
        ("active", true)
    );
    drop(child);

    let emulator = start(&file);
    let large = emulator.keys().pop().expect("a key");
    assert_eq!((large.client_id, large.tokens_minted), (id, minted));
    assert_eq!(post(&emulator, &body).status, 200, "the secret is the one that was told");
}
