//! `tu-token get`: output, sources of credentials, and errors.

use crate::common::{BINARY, Shell};
use tu_token_emulator::Fault;

#[test]
fn every_format_holds_the_token() {
    let shell = Shell::new();
    for (format, prefix) in
        [("token", ""), ("bearer", "Bearer "), ("header", "Authorization: Bearer ")]
    {
        let run = shell.run(&["get", "--format", format]);
        assert_eq!((run.code, run.err.as_str()), (Some(0), ""), "{run:?}");
        let token = run.out.strip_prefix(prefix).expect(prefix).strip_suffix('\n').expect("a line");
        assert!(token.starts_with("tuemu_") && !token.contains(char::is_whitespace), "{token}");
    }
    let plain = shell.run(&["get"]);
    assert!(plain.out.starts_with("tuemu_"));
    let json = shell.run(&["get", "--format", "json"]).json();
    assert!(json["access_token"].as_str().expect("a string").starts_with("tuemu_"));
    assert_eq!((&json["token_type"], &json["scope"]), (&"Bearer".into(), &"asset.view".into()));
    let life = json["expires_in"].as_u64().expect("seconds");
    assert!((1100..=1200).contains(&life), "{life}");
    assert!(json["expires_at"].as_u64().expect("seconds") > 1_700_000_000);
}

#[test]
fn flags_win_over_the_environment_and_over_its_files() {
    let shell = Shell::new();
    let (id, secret) = (shell.emulator.demo_key().client_id.clone(), shell.secret().to_owned());
    let good = shell.write("secret", &format!("{secret}\n"));
    let good = good.to_str().expect("a path");
    let id_file = shell.write("id", &id);
    let ok = |run: crate::common::Run| {
        assert_eq!((run.code, run.err.as_str()), (Some(0), ""), "{run:?}")
    };
    // A file given by flag overrides the value in the environment.
    let mut wrong = shell.command(&["get", "--client-secret-file", good]);
    ok(shell.output(wrong.env("TRACKUNIT_CLIENT_SECRET", "mistaken")));
    // Files from the environment only.
    let mut files = shell.stranger(&["get", "--scope", "asset.view"]);
    files.env("TRACKUNIT_CLIENT_ID_FILE", &id_file).env("TRACKUNIT_CLIENT_SECRET_FILE", good);
    ok(shell.output(&mut files));
    // A value and a file in the environment contradict each other.
    let mut both = shell.command(&["get"]);
    let run = shell.output(both.env("TRACKUNIT_CLIENT_SECRET_FILE", good));
    assert_eq!(run.code, Some(2), "{run:?}");
    assert!(run.err.contains("client_secret_file"), "{run:?}");
    // The scope by flag.
    let json = shell.run(&["get", "--scope", "site.view", "--format", "json"]).json();
    assert_eq!(json["scope"], "site.view");
    // A secret by flag: accepted, with a warning.
    let mut given = shell.command(&["get", "--client-secret", &secret]);
    let run = shell.output(given.env("TRACKUNIT_CLIENT_SECRET_FILE", "/nowhere"));
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(run.err.contains("--client-secret") && run.err.lines().count() == 1, "{run:?}");
}

#[test]
fn a_switch_needs_no_value() {
    let shell = Shell::new();
    assert_eq!(shell.run(&["get", "--keep-warm"]).code, Some(0));
    assert_eq!(shell.run(&["get", "--keep-warm=false"]).code, Some(0));
    assert_eq!(shell.run(&["get", "--keep-warm=maybe"]).code, Some(2));
}

#[test]
fn usage_and_configuration_end_with_2() {
    let shell = Shell::new();
    for arguments in [
        &["get", "--scpoe", "x"][..],
        &["get", "--format", "xml"],
        &["get", "--timeout", "soon"],
        &["get", "--token-url", "http://auth.example/token"],
        &["get", "--ca-file", "/nowhere"],
        &["get", "--client-secret-file", "/nowhere"],
        &["get", "--scope", "a\"b"],
        &["nonsense"],
        &["exec"],
        &[],
    ] {
        let run = shell.run(arguments);
        assert_eq!((run.code, run.out.as_str()), (Some(2), ""), "{arguments:?}: {run:?}");
        assert!(!run.err.is_empty());
    }
    let run = shell.output(shell.command(&["get"]).env_remove("TRACKUNIT_SCOPE"));
    assert_eq!(run.code, Some(2), "{run:?}");
    assert!(run.err.contains("hint: set --scope or TRACKUNIT_SCOPE"), "{run:?}");
    let run = shell.output(&mut shell.stranger(&["get", "--scope", "asset.view"]));
    assert_eq!(run.code, Some(2), "{run:?}");
    // The value for "do not wait" in C.
    let run = shell.run(&["get", "--timeout=-1"]);
    assert!(run.code == Some(2) && run.err.contains("0: never wait"), "{run:?}");
    let run = shell.run(&["get", "--timeout", "0"]);
    assert!(run.code == Some(4) && run.err.contains("hint: a run starts without"), "{run:?}");
}

#[test]
fn a_misspelt_flag_does_not_show_its_value() {
    let shell = Shell::new();
    let secret = shell.secret().to_owned();
    let run = shell.run(&["get", &format!("--client_secret={secret}")]);
    assert_eq!(run.code, Some(2), "{run:?}");
}

#[test]
fn refusals_end_with_3() {
    let shell = Shell::new();
    let run = shell.output(shell.command(&["get"]).env("TRACKUNIT_CLIENT_SECRET", "mistaken"));
    assert_eq!((run.code, run.out.as_str()), (Some(3), ""), "{run:?}");
    let [message, hint] = run.err.lines().collect::<Vec<_>>()[..] else { panic!("{run:?}") };
    assert!(message.starts_with("tu-token: ") && hint.starts_with("hint: "), "{run:?}");
    let run = shell.run(&["get", "--scope", "asset.view site.update"]);
    assert_eq!(run.code, Some(3), "{run:?}");
    let shell = Shell::with(Fault::error("invalid_request"));
    assert_eq!(shell.run(&["get"]).code, Some(3));
}

#[test]
fn transient_failures_end_with_4() {
    for fault in [
        Fault::status(429).retry_after(100),
        Fault::status(503),
        Fault::reset(),
        Fault::body("not a token"),
        Fault { html: true, ..Fault::default() },
    ] {
        let shell = Shell::with(fault.clone());
        let run = shell.run(&["get"]);
        assert_eq!((run.code, run.out.as_str()), (Some(4), ""), "{fault:?}: {run:?}");
        assert_eq!(run.err.lines().count(), 2, "{run:?}");
    }
    let shell = Shell::with(Fault::delay(std::time::Duration::from_secs(60)));
    assert_eq!(shell.run(&["get", "--timeout", "100ms"]).code, Some(4));
    let lost = Shell::with(Fault::status(404)).run(&["get"]);
    assert!(lost.code == Some(4) && lost.err.contains("hint: check the path"), "{lost:?}");
    let limited = Shell::with(Fault::status(429).retry_after(100)).run(&["get"]);
    assert!(limited.err.contains("hint: try again in "), "{limited:?}");
}

#[test]
fn no_secure_connection_ends_with_5() {
    let shell = Shell::new();
    let url = shell.emulator.token_url().replace("http:", "https:");
    let run = shell.run(&["get", "--token-url", &url]);
    assert_eq!((run.code, run.out.as_str()), (Some(5), ""), "{run:?}");
}

#[cfg(target_os = "linux")]
#[test]
fn output_that_cannot_be_written_is_an_error() {
    let shell = Shell::new();
    for arguments in [&["get"][..], &["options"], &["doctor"], &["--help"], &["get", "--version"]] {
        let run = shell.output(shell.command(arguments).stdout(full()));
        // `get` has no --version: the error goes to stderr, which works.
        let code = if arguments.len() > 1 { 2 } else { 70 };
        assert_eq!(run.code, Some(code), "{arguments:?}: {run:?}");
    }
}

#[cfg(target_os = "linux")]
fn full() -> std::process::Stdio {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full");
    full.expect("Linux has it").into()
}

#[cfg(target_os = "linux")]
#[test]
fn an_unwritable_stderr_fails_no_run() {
    let shell = Shell::new();
    let secret = shell.secret().to_owned();
    let gone = || std::process::Stdio::from(std::io::pipe().expect("a pipe").1);
    let stderrs: [&dyn Fn() -> std::process::Stdio; 2] = [&full, &gone];
    for stderr in stderrs {
        let run = |arguments: &[&str]| {
            let run = shell.output(shell.command(arguments).stderr(stderr()));
            (run.code, run.out)
        };
        // Each of these writes something to stderr.
        let (code, token) = run(&["get", "--client-secret", &secret]);
        assert_eq!((code, token.starts_with("tuemu_")), (Some(0), true), "{token}");
        let ran = run(&["exec", "--client-secret", &secret, "--", "echo", "ran"]);
        assert_eq!(ran, (Some(0), "ran\n".to_owned()));
        assert_eq!(run(&["options", "--client-secret", &secret, "--json"]).0, Some(0));
        for (arguments, code) in [
            (&["get", "--client-secret", "mistaken"][..], 3),
            (&["get", "--scope", "a\"b"], 2),
            (&["get", "--nonsense"], 2),
            (&["get", "--log", "info", "--token-url", "http://127.0.0.1:1/"], 4),
            (&["exec", "--", "no-such-program-at-all"], 127),
            (&["emulator", "--port", "nonsense"], 2),
        ] {
            assert_eq!(run(arguments), (Some(code), String::new()), "{arguments:?}");
        }
    }
    // Both at once.
    let run = shell.output(shell.command(&["get"]).stdout(full()).stderr(full()));
    assert_eq!(run.code, Some(70));
}

#[cfg(unix)]
#[test]
fn closed_outputs_are_no_reason_to_fail() {
    let shell = Shell::new();
    let script = |text: &str| {
        let command = shell.command(&[]);
        let mut sh = crate::common::instead(&command, "sh".as_ref(), &["-c", text, shell.secret()]);
        sh.env("TRACKUNIT_LOG", "info");
        let run = shell.output(&mut sh);
        (run.code, run.out)
    };
    let (code, token) = script("tu-token get --client-secret \"$0\" 2>&-");
    assert_eq!((code, token.starts_with("tuemu_")), (Some(0), true), "{token}");
    assert_eq!(script("tu-token exec --client-secret \"$0\" -- echo ran 2>&-").1, "ran\n");
    assert_eq!(script("tu-token get --client-secret mistaken 2>&-").0, Some(3));
    assert_eq!(script("tu-token doctor >&- 2>&-").0, Some(0));
}

#[test]
fn a_reader_that_is_gone_is_no_error() {
    let shell = Shell::new();
    for arguments in
        [&["get"][..], &["options"], &["doctor"], &["completions", "bash"], &["--help"]]
    {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let run = shell.output(shell.command(arguments).stdout(writer));
        assert_eq!((run.code, run.err.as_str()), (Some(0), ""), "{arguments:?}: {run:?}");
    }
    assert!(BINARY.contains("tu-token"));
}
