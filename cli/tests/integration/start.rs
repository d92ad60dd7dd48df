//! What a run does that finds its token in the store: as little as possible.

#![cfg(all(target_os = "linux", target_env = "gnu"))]

use crate::common::Shell;

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
