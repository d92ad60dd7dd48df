//! `tu-token exec`: what the program gets, and that its end is the end.

#![cfg(unix)]

mod common;

use std::os::unix::process::ExitStatusExt as _;

use common::Shell;
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
fn the_token_is_a_good_one() {
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

#[test]
fn arguments_are_the_programs_own() {
    let shell = Shell::new();
    let run = shell.run(&["exec", "printf", "%s|", "--scope", "x", "--", "-h"]);
    assert_eq!((run.code, run.out.as_str()), (Some(0), "--scope|x|--|-h|"), "{run:?}");
    // Flags of ours stand before the program.
    let run = shell.run(&["exec", "--scope", "site.view", "--", "echo", "done"]);
    assert_eq!((run.code, run.out.as_str()), (Some(0), "done\n"), "{run:?}");
}

#[test]
fn a_program_that_cannot_be_run() {
    let shell = Shell::new();
    let run = shell.run(&["exec", "--", "no-such-program-at-all"]);
    assert_eq!((run.code, run.out.as_str()), (Some(127), ""), "{run:?}");
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
