//! Unusable state files, and processes that are killed while they write one.

use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Mutex;

use crate::common::process::{command, exported, spawn};
use crate::common::state_file::{database, place, start};
use crate::common::{FORM, form, post, try_send};
use redb::{Database, ReadableTable as _, TableDefinition};
use tu_token_emulator::{Emulator, NewKey, StartError, StateError};

const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("tu_token_emulator");

#[test]
fn a_file_of_another_version_is_left_unchanged() {
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
fn a_file_truncated_anywhere_is_left_unchanged() {
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
        assert!(text.contains("was left unchanged"), "{text}");
        assert!(std::fs::read(&file).expect("a file") == whole[..length], "{length}");
    }
    std::fs::write(&file, &whole).expect("written");
    start(&file);
}

/// Pipes and devices never end, and a foreign file may have gigabytes.
#[cfg(unix)]
#[test]
fn only_regular_files_are_opened_and_foreign_ones_not_read() {
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    let (directory, file) = place();
    let inside = |name: &str| directory.path().join(name);
    std::fs::create_dir(inside("directory")).expect("made");
    let _socket = UnixListener::bind(inside("socket")).expect("bound");
    assert!(Command::new("mkfifo").arg(inside("pipe")).status().expect("mkfifo").success());
    symlink("pipe", inside("link")).expect("made");
    for (name, reason) in [
        ("directory", "a directory"),
        ("socket", "a socket"),
        ("pipe", "a named pipe"),
        ("link", "a named pipe"),
    ] {
        let refused = Emulator::builder().state(inside(name)).start().expect_err(name);
        let told = refused.to_string();
        assert!(told.contains(reason) && told.contains("not a regular file"), "{told}");
    }
    assert!(inside("link").is_symlink() && !file.exists());

    // A link to a regular file is accepted.
    let key = start(&file).demo_key().clone();
    symlink(&file, inside("other")).expect("made");
    assert_eq!(post(&start(&inside("other")), &form(&key, "asset.view")).status, 200);
}

/// Only Linux reports how much a process has read.
#[cfg(target_os = "linux")]
#[test]
fn only_the_beginning_of_a_large_foreign_file_is_read() {
    const LARGE: u64 = 512 << 20;
    let (directory, file) = place();
    drop(start(&file));
    let ours = std::fs::read(&file).expect("a file");
    let foreign = directory.path().join("redb");
    let database = Database::create(&foreign).expect("a database");
    let transaction = database.begin_write().expect("a transaction");
    let table: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("theirs");
    transaction.open_table(table).expect("a table").insert(1, &[7; 1 << 20][..]).expect("written");
    transaction.commit().expect("kept");
    drop(database);
    let theirs = std::fs::read(&foreign).expect("a file");
    for begin in [&b""[..], b"hello", &ours[..9], &ours[..4096], &ours[..], &theirs[..]] {
        std::fs::write(&file, begin).expect("written");
        std::fs::File::options()
            .write(true)
            .open(&file)
            .and_then(|it| it.set_len(LARGE))
            .expect("grown");
        let before = bytes_read();
        let refused = Emulator::builder().state(&file).start().err();
        let read = bytes_read() - before;
        assert!(read < LARGE / 4, "{read} bytes were read for {} at the beginning", begin.len());
        // A file that has grown is complete, and another program's database is refused.
        assert!(refused.is_some() || begin.len() == ours.len(), "{}", begin.len());
        let mut start = vec![0; begin.len()];
        std::fs::File::open(&file).and_then(|mut it| it.read_exact(&mut start)).expect("read");
        assert!(refused.is_none() || start == begin, "nothing was overwritten");
    }
}

#[cfg(target_os = "linux")]
fn bytes_read() -> u64 {
    let told = std::fs::read_to_string("/proc/self/io").expect("numbers");
    let line = told.lines().find_map(|line| line.strip_prefix("rchar: ")).expect("a line");
    line.parse().expect("a number")
}

/// Ids, names and scopes appear in shells and on pages: those from a file are checked like those of a request.
#[test]
fn keys_of_a_file_are_ones_that_could_have_been_made() {
    const KEYS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("api_keys");
    let (_directory, file) = place();
    drop(start(&file));
    let change = |from: &str, to: &str| {
        let database = database(&file);
        let transaction = database.begin_write().expect("a transaction");
        {
            let mut keys = transaction.open_table(KEYS).expect("a table");
            let row = keys.get(1).expect("read").expect("a key").value().to_vec();
            let text = String::from_utf8(row).expect("text");
            assert!(text.contains(from), "{text}");
            keys.insert(1, text.replace(from, to).as_bytes()).expect("written");
        }
        transaction.commit().expect("kept");
    };
    for (good, odd) in [
        ("\"asset.view\"", "\"asset.view\\nrm\""),
        ("\"asset.view\"", "\"a b\""),
        ("\"client_id\":\"tukey_", "\"client_id\":\"\\ntukey_"),
        ("\"name\":\"demo\"", "\"name\":\"de\\nmo\""),
    ] {
        change(good, odd);
        let refused = Emulator::builder().state(&file).start().expect_err(odd);
        assert!(matches!(&refused, StartError::State(StateError::Damaged(..))), "{refused}");
        change(odd, good);
    }
    // An earlier version accepted this one.
    change("\"name\":\"demo\"", "\"name\":\"de\u{202e}mo\u{2028}\"");
    let emulator = start(&file);
    assert_eq!(emulator.keys()[0].name, "de\u{fffd}mo\u{fffd}");
}

#[test]
fn a_start_that_fails_for_one_key_makes_none_and_rotates_none() {
    let (_directory, file) = place();
    let key = start(&file).demo_key().clone();
    let taken = NewKey::new("taken", "a");
    start(&file).create_key(taken.clone()).expect("a key");
    let builder = Emulator::builder().state(&file).fresh_demo_key(true);
    let refused = builder.key(NewKey::new("first", "a")).key(taken).start().expect_err("taken");
    assert!(matches!(refused, StartError::Key(_)), "{refused}");
    let emulator = start(&file);
    assert_eq!(post(&emulator, &form(&key, "asset.view")).status, 200, "the secret is as it was");
    assert_eq!(emulator.keys().len(), 2);
    // Invalid keys are reported before a file is created.
    let (_directory, new) = place();
    let builder = Emulator::builder().state(&new);
    builder.key(NewKey::new("odd", "\"")).start().expect_err("no scopes");
    assert!(!new.exists());
}

/// What a killed process had acknowledged: keys, and tokens with their keys.
#[derive(Default)]
struct Acknowledged {
    keys: Vec<(String, String)>,
    tokens: Vec<String>,
}

/// Creates keys, tokens and rotations until the emulator is gone. A key counts once it was acknowledged; one with an
/// unacknowledged rotation may have either secret, and is left out.
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
            // While all three are active.
            drop(emulator);
        });
    }
    let emulator = Emulator::builder().state(&file).max_keys(100_000).start().expect("started");
    let seen = seen.into_inner().expect("no panic");
    assert!(seen.tokens.len() >= 8 * 5);
    for token in &seen.tokens {
        assert_eq!(crate::common::get(&emulator, "/api/asset/v2/assets", token).status, 200);
    }
    let template = Emulator::start().expect("an emulator").demo_key().clone();
    for (client_id, client_secret) in seen.keys {
        let mut key = template.clone();
        (key.client_id, key.client_secret) = (client_id, client_secret);
        assert_eq!(post(&emulator, &form(&key, "asset.view")).status, 200);
    }
}

/// The command as a user restricted by file modes: root is not, so it becomes an unprivileged user, who then owns the
/// directory.
#[cfg(unix)]
fn bound_by_modes(directory: &Path, arguments: &[&str]) -> Command {
    use std::os::unix::fs::{MetadataExt as _, chown};
    use std::os::unix::process::CommandExt as _;

    const NOBODY: u32 = 65534;
    let file = directory.join("state");
    let whole = command(&file, arguments);
    // The files created by the test belong to the user it runs as.
    let made = tempfile::NamedTempFile::new().expect("a file");
    if made.as_file().metadata().expect("its owner").uid() != 0 {
        return whole;
    }
    // If root builds, other users may have no access.
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
fn a_read_only_file_or_directory_is_reported_and_left_unchanged() {
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
