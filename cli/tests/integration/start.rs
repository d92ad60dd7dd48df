//! What a run does that finds its token in the store: as little as possible. And what it must do before it begins.

#![cfg(all(target_os = "linux", target_env = "gnu"))]

use std::process::Command;
use std::time::{Duration, Instant};

use crate::common::{BINARY, Shell, Started};

#[test]
fn a_run_with_a_stored_token_opens_only_the_store() {
    let shell = Shell::new();
    let store = shell.home.path().join("store");
    let log = shell.home.path().join("opened");
    let library = shell.preload("opened");
    let get = |logs: bool| {
        let mut command = shell.command(&["get"]);
        command.env("TRACKUNIT_STORE", format!("file:{}", store.display()));
        if logs {
            command.env("LD_PRELOAD", &library).env("OPENED_LOG", &log);
        }
        shell.output(&mut command)
    };
    let first = get(false);
    assert_eq!(first.code, Some(0), "{first:?}");
    let second = get(true);
    assert_eq!((second.code, &second.out), (Some(0), &first.out), "{second:?}");
    let opened = std::fs::read_to_string(&log).expect("the log");
    let threads = opened.lines().filter(|line| *line == "thread").count();
    // One works on the fetch, and one reads the store, which may hang. On a busy machine, timers and events
    // may need one each.
    assert!(threads <= 4, "{opened}");
    let allowed = |line: &str| {
        line == "thread"
            || line.starts_with("/proc/")
            || line.starts_with(&*store.to_string_lossy())
            || line.starts_with("tu-token-")
    };
    let others: Vec<&str> = opened.lines().filter(|line| !allowed(line)).collect();
    assert!(others.is_empty(), "{others:?}");
}

#[test]
#[cfg(static_unwinder)]
fn no_shared_library_is_needed_for_panics() {
    let program = std::fs::read(BINARY).expect("the program");
    let needed = b"libgcc_s.so.1";
    assert!(!program.windows(needed.len()).any(|window| window == needed));
}

/// Otherwise a file or a connection would get the number of standard output, and the token be written to it.
#[test]
fn closed_standard_descriptors_are_opened() {
    let shell = Shell::new();
    let ready = shell.home.path().join("ready");
    let mut command = Command::new("sh");
    command
        .args(["-c", r#"exec "$0" emulator --port 0 --env-file "$1" <&- >&- 2>&-"#, BINARY])
        .arg(&ready);
    let emulator = Started::start(&mut command);
    let begun = Instant::now();
    while !ready.exists() {
        assert!(begun.elapsed() < Duration::from_secs(30));
        std::thread::sleep(Duration::from_millis(5));
    }
    for number in 0..3 {
        let opened = std::fs::read_link(format!("/proc/{}/fd/{number}", emulator.0.id()));
        assert_eq!(opened.expect("a descriptor").to_str(), Some("/dev/null"), "{number}");
    }
}
