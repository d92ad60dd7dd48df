//! `tu-token exec`: the program's environment, and how it ends.

#![cfg(unix)]

use std::io::Read as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::common::{Shell, Started};
use tu_token_emulator::Fault;

#[test]
fn the_program_has_a_token_and_no_secret() {
    let shell = Shell::new();
    let secret = shell.write("secret", shell.secret());
    let mut command = shell.command(&["exec", "--", "env"]);
    command.env("TRACKUNIT_NAME", "kept").env("OTHER", "kept");
    let run = shell.output(&mut command);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(
        run.out.contains("\nTRACKUNIT_TOKEN=tuemu_") || run.out.starts_with("TRACKUNIT_TOKEN=")
    );
    assert!(run.out.contains("TRACKUNIT_NAME=kept") && run.out.contains("OTHER=kept"));
    assert!(!run.out.contains("CLIENT_SECRET"), "{run:?}");

    let mut command = shell.command(&["exec", "--", "env"]);
    command.env_remove("TRACKUNIT_CLIENT_SECRET").env("TRACKUNIT_CLIENT_SECRET_FILE", secret);
    let run = shell.output(&mut command);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(!run.out.contains("CLIENT_SECRET"), "{run:?}");
}

#[test]
fn the_program_has_nothing_else_that_may_hold_a_secret() {
    let shell = Shell::new();
    let mut command = shell.command(&["exec", "--", "env"]);
    for (name, value) in [
        ("TRACKUNIT_PARAMS", "key=hush"),
        ("TRACKUNIT_PROXY", "http://user:hush@127.0.0.1:1"),
        ("TRACKUNIT_CLIENT_SECERT", "hush"),
        // HTTPS_PROXY is for the program, too.
        ("HTTPS_PROXY", "http://proxy:3128"),
        ("TRACKUNIT_STORE", "memory"),
    ] {
        command.env(name, value);
    }
    let url = format!("{}?key=hush", shell.emulator.token_url());
    let run = shell.output(command.env("TRACKUNIT_TOKEN_URL", url));
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(!run.out.contains("hush"), "{run:?}");
    assert!(run.out.contains("HTTPS_PROXY=") && run.out.contains("TRACKUNIT_STORE="), "{run:?}");
    let mut plain = shell.command(&["exec", "--", "env"]);
    let run = shell.output(plain.env("TRACKUNIT_PROXY", "http://127.0.0.1:1"));
    assert!(run.out.contains("TRACKUNIT_PROXY=") && run.out.contains("TRACKUNIT_TOKEN_URL="));
}

#[test]
fn the_token_is_valid() {
    let shell = Shell::new();
    let script = "curl -sf -H \"Authorization: Bearer $TRACKUNIT_TOKEN\" \"$0\"";
    let url = format!("{}/api/asset/v2/assets?size=1", shell.emulator.url());
    let run = shell.run(&["exec", "--", "sh", "-c", script, &url]);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(run.out.contains("Wheel loader"), "{run:?}");
}

#[test]
fn its_exit_code_and_its_signal_are_ours() {
    let shell = Shell::new();
    for code in [0, 1, 7, 126, 255] {
        let run = shell.run(&["exec", "--", "sh", "-c", &format!("exit {code}")]);
        assert_eq!((run.code, run.err.as_str()), (Some(code), ""), "{run:?}");
    }
    for (name, number) in [("TERM", 15), ("KILL", 9), ("PIPE", 13)] {
        let script = format!("kill -{name} $$; sleep 60");
        let status = shell.command(&["exec", "--", "sh", "-c", &script]).status().expect("started");
        assert_eq!(status.signal(), Some(number), "{name}");
    }
}

/// Sends a signal by its name.
fn signal(name: &str, process: &Started) {
    let sent = Command::new("kill").args(["-s", name, &process.0.id().to_string()]).status();
    assert!(sent.expect("kill").success());
}

#[test]
fn a_signal_sent_to_us_is_the_programs() {
    let shell = Shell::new();
    for (name, code) in [("TERM", 41), ("INT", 42), ("HUP", 43), ("USR1", 44)] {
        let script = format!("trap 'exit {code}' {name}; echo ready; while :; do sleep 0.05; done");
        let mut command = shell.command(&["exec", "--", "sh", "-c", &script]);
        let mut process = Started::start(&mut command);
        let mut ready = [0; 6];
        process.0.stdout.as_mut().expect("a pipe").read_exact(&mut ready).expect("a line");
        assert_eq!(&ready, b"ready\n");
        signal(name, &process);
        assert_eq!(process.end().code, Some(code), "{name}");
    }
}

#[test]
fn a_shell_sees_the_programs_signal_as_128_and_its_number() {
    let shell = Shell::new();
    for (name, code) in [("TERM", 143), ("KILL", 137), ("INT", 130)] {
        let script = format!("tu-token exec -- sh -c 'kill -s {name} $$'; exit $?");
        let command = shell.command(&[]);
        let mut outer = crate::common::instead(&command, "sh".as_ref(), &["-c", &script]);
        assert_eq!(shell.output(&mut outer).code, Some(code), "{name}");
    }
}

#[test]
fn a_signal_before_the_program_starts_ends_us_and_nothing_is_run() {
    let shell = Shell::with(Fault::delay(Duration::from_secs(60)));
    for (name, number) in [("INT", 2), ("TERM", 15)] {
        let before = shell.emulator.token_requests();
        let mut command = shell.command(&["exec", "--", "echo", "ran"]);
        let mut process = Started::start(&mut command);
        while shell.emulator.token_requests() == before {
            std::thread::sleep(Duration::from_millis(1));
        }
        let from = Instant::now();
        signal(name, &process);
        assert_eq!(process.0.wait().expect("ended").signal(), Some(number));
        assert_eq!(process.end().out, "", "{name}");
        // The answer would come after a minute.
        assert!(from.elapsed() < Duration::from_secs(10), "{name}");
    }
}

#[test]
fn arguments_are_the_programs_own() {
    let shell = Shell::new();
    let run = shell.run(&["exec", "printf", "%s|", "--scope", "x", "--", "-h"]);
    assert_eq!((run.code, run.out.as_str()), (Some(0), "--scope|x|--|-h|"), "{run:?}");
    // Flags of tu-token come before the program.
    let run = shell.run(&["exec", "--scope", "site.view", "--", "echo", "done"]);
    assert_eq!((run.code, run.out.as_str()), (Some(0), "done\n"), "{run:?}");
}

#[test]
fn a_program_that_cannot_be_run() {
    let shell = Shell::new();
    let run = shell.run(&["exec", "--", "no-such-program-at-all"]);
    assert_eq!((run.code, run.out.as_str()), (Some(127), ""), "{run:?}");
    // Reported in one line, whatever the name contains.
    let run = shell.run(&["exec", "--", "no\nsuch\u{1b}[2Jprogram"]);
    assert_eq!(run.code, Some(127), "{run:?}");
    assert_eq!(run.err, "tu-token: no such [2Jprogram: not found\n");
    let file = shell.write("plain", "no program");
    let run = shell.run(&["exec", "--", file.to_str().expect("a path")]);
    assert_eq!((run.code, run.out.as_str()), (Some(126), ""), "{run:?}");
}

#[test]
fn without_a_token_nothing_is_run() {
    let shell = Shell::with(Fault::error("invalid_client"));
    let run = shell.run(&["exec", "--", "echo", "ran"]);
    assert_eq!((run.code, run.out.as_str()), (Some(3), ""), "{run:?}");
}
