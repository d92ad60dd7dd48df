//! The env file: it appears, it is removed, and other files are left alone.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Child, Command, Output};

use super::common::{self, process};
use super::{command, first_lines};

fn end(child: &mut Child, signal: &str) {
    let killed = Command::new("kill").args([signal, &child.id().to_string()]).status();
    assert!(killed.expect("kill").success());
    assert_eq!(child.wait().expect("ended").code(), Some(0));
}

fn start(file: &Path, arguments: &[&str]) -> (Child, Vec<String>) {
    let path = file.to_str().expect("a readable path");
    let arguments = [&["--port", "0", "--env-file", path], arguments].concat();
    let mut child = command(&arguments).spawn().expect("started");
    let lines = first_lines(&mut child);
    (child, lines)
}

/// The message of a start that must be refused.
fn refused(arguments: &[&str]) -> String {
    let Output { status, stdout, stderr } = command(arguments).output().expect("ran");
    let text = String::from_utf8_lossy(&stderr).into_owned();
    assert_eq!((status.code(), stdout.len(), text.lines().count()), (Some(2), 0, 1), "{text}");
    text
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("a directory");
    entries.map(|entry| entry.expect("one").file_name().into_string().expect("text")).collect()
}

#[test]
fn it_is_there_until_a_signal_comes() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("env");
    let secret = ["--client-id", "id", "--client-secret", "it's"];
    // The file of an emulator that was killed is replaced, and so is an empty one as made by `mktemp`.
    let (mut killed, _) = start(&file, &[]);
    killed.kill().expect("killed");
    killed.wait().expect("ended");
    assert!(file.exists());
    for (signal, arguments) in
        [("-TERM", &secret[..]), ("-INT", &secret), ("-HUP", &secret), ("-HUP", &["--ipv6"])]
    {
        // Under `nohup`, this process passes that on.
        #[cfg(target_os = "linux")]
        if signal == "-HUP" && hangup_bit("self", "SigIgn:") == 1 {
            continue;
        }
        if signal == "-HUP" {
            fs::write(&file, "").expect("written");
        }
        let (mut child, lines) = start(&file, arguments);
        let written = fs::read_to_string(&file).expect("a file");
        assert_eq!(written.lines().collect::<Vec<_>>(), lines[1..6]);
        assert!(lines[0].starts_with("# ") && lines[6].starts_with("# "), "{lines:?}");
        let token_url = lines[4].strip_prefix("export TRACKUNIT_TOKEN_URL=").expect("a url");
        let base = lines[5].strip_prefix("export IRIS_URL=").expect("a url");
        assert_eq!(token_url.replace("/token/v2", ""), base);
        assert_eq!(fs::metadata(&file).expect("a file").permissions().mode() & 0o777, 0o600);
        if arguments == secret {
            assert_eq!(lines[1], "export TRACKUNIT_CLIENT_ID=id");
            assert_eq!(lines[2], r"export TRACKUNIT_CLIENT_SECRET='it'\''s'");
            assert_eq!(lines[3], "export TRACKUNIT_SCOPE=asset.view");
            assert!(token_url.starts_with("http://127.0.0.1:"), "{token_url}");
            let body =
                "grant_type=client_credentials&client_id=id&client_secret=it's&scope=asset.view";
            let kind = [("content-type", common::FORM)];
            let minted = common::send("POST", token_url, &kind, body);
            let token = format!("Bearer {}", minted.member("access_token"));
            let assets = format!("{base}/api/asset/v2/assets");
            assert_eq!(common::send("GET", &assets, &[("authorization", &token)], "").status, 200);
        }
        end(&mut child, signal);
        assert!(names(directory.path()).is_empty(), "the secret is not left behind");
    }
}

/// Only Linux reports how a process handles a signal.
#[cfg(target_os = "linux")]
#[test]
fn a_hangup_that_was_to_be_ignored_is_ignored() {
    let program = env!("CARGO_BIN_EXE_tu-token-emulator");
    for (trap, ignored) in [("trap '' HUP;", 1), ("", hangup_bit("self", "SigIgn:"))] {
        let mut started = Command::new("sh");
        started.args(["-c", &format!("{trap} exec \"$0\" --port 0"), program]);
        started.stdout(std::process::Stdio::piped());
        let (child, _lines) = process::read_start(&mut started);
        let id = child.0.id().to_string();
        let seen = (hangup_bit(&id, "SigIgn:"), hangup_bit(&id, "SigCgt:"));
        assert_eq!(seen, (ignored, 1 - ignored));
    }
}

/// How a process handles SIGHUP, the lowest signal.
#[cfg(target_os = "linux")]
fn hangup_bit(process: &str, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("a process");
    let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a line");
    u64::from_str_radix(line.trim(), 16).expect("digits") & 1
}

#[test]
fn foreign_files_stay_and_are_named() {
    let directory = tempfile::tempdir().expect("a directory");
    let inside = |name: &str| directory.path().join(name);
    let real = "export TRACKUNIT_CLIENT_ID=id\nexport TRACKUNIT_CLIENT_SECRET=real\n\
        export TRACKUNIT_SCOPE=a\nexport TRACKUNIT_TOKEN_URL=https://auth.trackunit.com/token/v2\n";
    fs::write(inside("text"), "DATABASE=mine\n").expect("written");
    fs::write(inside("real"), real).expect("written");
    fs::write(inside("bytes"), [0xff, 0xfe, 0]).expect("written");
    fs::write(inside("empty"), "").expect("written");
    fs::create_dir(inside("directory")).expect("made");
    symlink("empty", inside("link")).expect("made");
    symlink("nowhere", inside("dangling")).expect("made");
    let _socket = UnixListener::bind(inside("socket")).expect("bound");
    assert!(Command::new("mkfifo").arg(inside("pipe")).status().expect("mkfifo").success());
    let mut before = names(directory.path());
    before.sort();
    for (name, reason) in [
        ("text", "something other than an emulator's lines"),
        ("real", "something other than an emulator's lines"),
        ("bytes", "something other than an emulator's lines"),
        ("directory", "a directory"),
        ("link", "a symbolic link"),
        ("dangling", "a symbolic link"),
        ("socket", "a socket"),
        ("pipe", "a named pipe"),
    ] {
        let path = inside(name);
        let path = path.to_str().expect("a readable path");
        let text = refused(&["--port", "0", "--env-file", path]);
        assert!(text.contains(reason) && text.contains(path), "{text}");
        assert!(text.contains("left unchanged"), "{text}");
    }
    let mut after = names(directory.path());
    after.sort();
    assert_eq!(after, before);
    assert_eq!(fs::read_to_string(inside("text")).expect("a file"), "DATABASE=mine\n");
    assert_eq!(fs::read_to_string(inside("real")).expect("a file"), real);
}

#[test]
fn a_start_that_fails_leaves_the_lines_of_another_emulator() {
    let directory = tempfile::tempdir().expect("a directory");
    let (file, state) = (directory.path().join("env"), directory.path().join("state"));
    let path = file.to_str().expect("a readable path");
    let foreign = state.to_str().expect("a readable path");
    fs::write(&state, "no state").expect("written");
    let (mut child, lines) = start(&file, &[]);
    let before = fs::read_to_string(&file).expect("a file");
    let port = lines[5].rsplit(':').next().expect("a port");
    for arguments in [
        &["--port", port][..],
        &["--port", "0", "--expires-in", "0"],
        &["--port", "0", "--scopes", "\"a\""],
        &["--port", "0", "--state", foreign],
    ] {
        refused(&[arguments, &["--env-file", path]].concat());
        assert_eq!(fs::read_to_string(&file).expect("a file"), before, "{arguments:?}");
        assert_eq!(names(directory.path()).len(), 2, "no draft is left");
    }
    end(&mut child, "-TERM");
    assert_eq!(names(directory.path()), ["state"]);
}

#[test]
fn later_changes_by_others_stay() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("env");
    for successor in [true, false] {
        let (mut first, lines) = start(&file, &["--client-id", "id", "--client-secret", "s"]);
        if successor {
            let (mut second, _) = start(&file, &["--client-id", "id", "--client-secret", "s"]);
            end(&mut first, "-TERM");
            assert!(file.exists(), "it belongs to the second");
            end(&mut second, "-TERM");
            assert!(!file.exists());
        } else {
            // The same lines in a user's own file.
            fs::remove_file(&file).expect("removed");
            let same: String = lines[1..6].iter().map(|line| format!("{line}\n")).collect();
            fs::write(&file, same).expect("written");
            end(&mut first, "-TERM");
            assert_eq!(names(directory.path()), ["env"]);
        }
    }
}

#[test]
fn one_name_for_two_files_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("both");
    let path = file.to_str().expect("a readable path");
    let other = format!("{}/./both", directory.path().display());
    for there in [false, true] {
        if there {
            drop(common::state_file::start(&file));
        }
        let before = fs::read(&file).ok();
        for other in [path, &other] {
            let text = refused(&["--port", "0", "--state", path, "--env-file", other]);
            assert!(text.contains("a file each"), "{text}");
            assert_eq!(fs::read(&file).ok(), before, "{there}");
        }
    }
}
