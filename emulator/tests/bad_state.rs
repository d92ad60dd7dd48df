//! State files that cannot be used, and processes that end while they write one.

mod common;

use std::path::Path;
use std::process::{Command, Output};
use std::sync::Mutex;

use common::process::{command, exported, spawn};
use common::state_file::{database, place, start};
use common::{FORM, form, post, try_send};
use redb::TableDefinition;
use tu_token_emulator::{Emulator, StartError, StateError};

const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("tu_token_emulator");

#[test]
fn a_file_of_another_version_is_left_as_it_is() {
    let (_directory, file) = place();
    let key = start(&file).demo_key().clone();
    let set_format = |format: &[u8]| {
        let database = database(&file);
        let transaction = database.begin_write().expect("a transaction");
        transaction.open_table(META).expect("a table").insert("format", format).expect("written");
        transaction.commit().expect("kept");
    };
    for format in [&b"2"[..], b"0", b"", b"1.1"] {
        set_format(format);
        let before = std::fs::read(&file).expect("a file");
        let refused = Emulator::builder().state(&file).start().expect_err("another version");
        let StartError::State(StateError::NotOurs(path)) = &refused else { panic!("{refused}") };
        assert_eq!(path, &file);
        assert!(refused.to_string().contains("version"), "{refused}");
        assert!(std::fs::read(&file).expect("a file") == before, "nothing was overwritten");
    }
    set_format(b"1");
    assert_eq!(post(&start(&file), &form(&key, "asset.view")).status, 200);
}

#[test]
fn a_file_that_is_cut_off_anywhere_is_left_as_it_is() {
    let (_directory, file) = place();
    drop(start(&file));
    let whole = std::fs::read(&file).expect("a file");
    let inside = [1, 9, 10, 64, 320, 4095, 4096, 4097, 8192, 12_288, 65_536];
    let lengths = inside.into_iter().filter(|length| *length < whole.len());
    for length in lengths.chain([whole.len() - 4096, whole.len() - 1]) {
        std::fs::write(&file, &whole[..length]).expect("written");
        let Output { status, stderr, stdout } = command(&file, &[]).output().expect("ran");
        let text = String::from_utf8_lossy(&stderr).into_owned();
        assert_eq!((status.code(), stdout.len()), (Some(2), 0), "{length}: {text}");
        assert!(
            text.contains("was left as it was") || text.contains("was left as it is"),
            "{text}"
        );
        assert!(std::fs::read(&file).expect("a file") == whole[..length], "{length}");
    }
    std::fs::write(&file, &whole).expect("written");
    start(&file);
}

/// What a process that was killed had acknowledged: keys, and tokens with the key that got each.
#[derive(Default)]
struct Acknowledged {
    keys: Vec<(String, String)>,
    tokens: Vec<String>,
}

/// Makes keys, tokens and rotations until the emulator is gone. A key counts from its answer on; one whose rotation was
/// not answered may have either secret, and is left out.
fn write_until_killed(base: &str, worker: usize, round: usize, seen: &Mutex<Acknowledged>) {
    let json = [("content-type", "application/json")];
    for number in 0.. {
        let name = format!("{round}-{worker}-{number}");
        let body = format!(r#"{{"name":"{name}","scopes":"asset.view"}}"#);
        let Ok(made) = try_send("POST", &format!("{base}/api-keys"), &json, &body) else { return };
        assert_eq!(made.status, 201, "{}", made.body);
        let (id, first) = (made.member("client_id"), made.member("client_secret"));
        let rotate = format!("{base}/api-keys/{id}/rotate");
        let Ok(rotated) = try_send("POST", &rotate, &json, "{}") else { return };
        let secret = rotated.member("client_secret");
        assert_ne!(secret, first);
        seen.lock().expect("no panic").keys.push((id.clone(), secret.clone()));
        let body = format!(
            "grant_type=client_credentials&client_id={id}&client_secret={secret}&scope=asset.view"
        );
        let url = format!("{base}/token/v2");
        let Ok(minted) = try_send("POST", &url, &[("content-type", FORM)], &body) else { return };
        seen.lock().expect("no panic").tokens.push(minted.member("access_token"));
    }
}

#[test]
fn nothing_acknowledged_is_lost_when_it_is_killed_while_writing_again_and_again() {
    let (_directory, file) = place();
    let seen = Mutex::new(Acknowledged::default());
    for round in 0..8 {
        let (emulator, lines) = spawn(&file, &["--max-keys", "100000"]);
        let url = exported(&lines, "TOKEN_URL").expect("a url");
        let base = url.replace("/token/v2", "");
        let goal = seen.lock().expect("no panic").tokens.len() + 5 + round;
        std::thread::scope(|scope| {
            for worker in 0..3 {
                let (base, seen) = (&base, &seen);
                scope.spawn(move || write_until_killed(base, worker, round, seen));
            }
            while seen.lock().expect("no panic").tokens.len() < goal {
                std::thread::yield_now();
            }
            // In the midst of whatever the three are at.
            drop(emulator);
        });
    }
    let emulator = Emulator::builder().state(&file).max_keys(100_000).start().expect("started");
    let seen = seen.into_inner().expect("no panic");
    assert!(seen.tokens.len() >= 8 * 5);
    for token in &seen.tokens {
        assert_eq!(common::get(&emulator, "/api/asset/v2/assets", token).status, 200);
    }
    let template = Emulator::start().expect("an emulator").demo_key().clone();
    for (client_id, client_secret) in seen.keys {
        let mut key = template.clone();
        (key.client_id, key.client_secret) = (client_id, client_secret);
        assert_eq!(post(&emulator, &form(&key, "asset.view")).status, 200);
    }
}

/// The command as somebody whom modes bind: they do not bind root, so root becomes a user without rights, whose the
/// directory then is.
#[cfg(unix)]
fn bound_by_modes(directory: &Path, arguments: &[&str]) -> Command {
    use std::os::unix::fs::{MetadataExt as _, chown};
    use std::os::unix::process::CommandExt as _;

    const NOBODY: u32 = 65534;
    let file = directory.join("state");
    let whole = command(&file, arguments);
    // What the test made belongs to whom it runs as.
    let made = tempfile::NamedTempFile::new().expect("a file");
    if made.as_file().metadata().expect("its owner").uid() != 0 {
        return whole;
    }
    // Where root builds, nobody else may be let in.
    let program = directory.join("emulator");
    if !program.exists() {
        std::fs::copy(whole.get_program(), &program).expect("copied");
    }
    for owned in [directory, &file, &program] {
        let _ = chown(owned, Some(NOBODY), Some(NOBODY));
    }
    let mut command = Command::new(&program);
    command.args(whole.get_args()).uid(NOBODY).gid(NOBODY);
    command
}

#[cfg(unix)]
#[test]
fn a_file_or_directory_that_is_read_only_is_told_and_left_as_it_is() {
    use std::fs::{Permissions, metadata, read, set_permissions};
    use std::os::unix::fs::PermissionsExt as _;

    let (directory, file) = place();
    let directory = directory.path();
    let set = |path: &Path, mode| set_permissions(path, Permissions::from_mode(mode)).expect("set");
    let refused = |arguments: &[&str], reason: &str| {
        let ran = bound_by_modes(directory, arguments).output().expect("ran");
        let text = String::from_utf8_lossy(&ran.stderr).into_owned();
        assert_eq!((ran.status.code(), ran.stdout.len()), (Some(2), 0), "{text}");
        assert!(text.contains(reason) && text.lines().count() == 1, "{text}");
    };
    set(directory, 0o555);
    refused(&[], "cannot use the state file");
    assert!(!file.exists());

    set(directory, 0o755);
    let key = start(&file).demo_key().clone();
    let before = read(&file).expect("a file");
    set(&file, 0o400);
    refused(&[], "cannot use the state file");
    assert_eq!(metadata(&file).expect("a file").permissions().mode() & 0o777, 0o400);

    set(&file, 0o600);
    set(directory, 0o555);
    let env = directory.join("env");
    refused(&["--env-file", env.to_str().expect("a readable path")], "cannot write");
    assert!(read(&file).expect("a file") == before, "nothing was overwritten");
    set(directory, 0o755);
    assert_eq!(post(&start(&file), &form(&key, "asset.view")).status, 200);
}

#[test]
fn a_start_that_fails_for_its_port_or_lines_changes_no_key() {
    let (directory, file) = place();
    let key = start(&file).demo_key().clone();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port().to_string();
    let nowhere = directory.path().join("no/such/place");
    let nowhere = nowhere.to_str().expect("a readable path");
    for (arguments, reason) in [
        (&["--port", &port, "--rotate-demo-key"][..], "is in use"),
        (&["--port", "0", "--env-file", nowhere], "cannot write"),
    ] {
        let program = env!("CARGO_BIN_EXE_tu-token-emulator");
        let ran = Command::new(program).arg("--state").arg(&file).args(arguments).output();
        let Output { status, stderr, .. } = ran.expect("ran");
        let text = String::from_utf8_lossy(&stderr).into_owned();
        assert!(status.code() == Some(2) && text.contains(reason), "{text}");
        assert_eq!(post(&start(&file), &form(&key, "asset.view")).status, 200, "{reason}");
    }
}
