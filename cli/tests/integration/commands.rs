//! The smaller subcommands: options, completions, emulator, help.

#[cfg(all(unix, feature = "emulator"))]
use std::io::{BufRead as _, BufReader};
#[cfg(all(unix, feature = "emulator"))]
use std::process::{Command, Stdio};

use crate::common::Shell;
use serde_json::Value;

#[test]
fn options_show_values_and_their_sources() {
    let shell = Shell::new();
    let mut command = shell.command(&["options", "--json", "--scope", "a b", "--keep-warm"]);
    command.env("TRACKUNIT_TIMEOUT", "5s").env("TRACKUNIT_PROXY", "http://user:hush@proxy:1");
    let run = shell.output(&mut command);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(!run.out.contains("hush"), "{run:?}");
    let table = run.json();
    let rows = table.as_array().expect("an array");
    assert_eq!(rows.len(), tu_token::OPTIONS.len());
    let of = |key: &str| -> (Value, Value) {
        let row = rows.iter().find(|row| row["key"] == key).expect(key);
        (row["value"].clone(), row["source"].clone())
    };
    let is = |key: &str, value: Value, source: &str| assert_eq!(of(key), (value, source.into()));
    is("scope", "a b".into(), "flag");
    is("keep_warm", "true".into(), "flag");
    is("timeout", "5s".into(), "environment");
    is("client_secret", "(hidden)".into(), "environment");
    is("proxy", "(hidden)".into(), "environment");
    is("token_url", shell.emulator.token_url().into(), "environment");
    let url = "https://auth.example/token?key=hush";
    let run = shell.run(&["options", "--json", "--token-url", url]);
    assert!(run.out.contains("https://auth.example/token?...") && !run.out.contains("hush"));
    is("fetch_timeout", "15s".into(), "default");
    is("store", "memory".into(), "environment");
    is("client_secret_file", Value::Null, "default");
}

#[test]
fn a_typo_reveals_no_secret() {
    let shell = Shell::new();
    for (name, value) in [
        ("TRACKUNIT_PROXY", "http://user:hush"),
        ("TRACKUNIT_PROXY", "http://user:hush%40proxy:1"),
        ("TRACKUNIT_STORE", "redis://user:hush"),
        ("TRACKUNIT_TOKEN_URL", "https//auth.example/token?key=hush"),
        ("TRACKUNIT_TOKEN_URL", "https://auth.example/token#hush"),
    ] {
        for form in [&["options"][..], &["options", "--json"], &["doctor"]] {
            let run = shell.output(shell.command(form).env(name, value));
            assert!(!run.out.contains("hush") && !run.err.contains("hush"), "{value}: {run:?}");
        }
    }
}

#[test]
fn options_name_unknown_variables() {
    let shell = Shell::new();
    let run = shell.output(shell.command(&["options"]).env("TRACKUNIT_TIMOUT", "5s"));
    assert!(run.err.contains("TRACKUNIT_TIMOUT") && run.err.contains("TRACKUNIT_TIMEOUT?"));
    assert_eq!(shell.run(&["options"]).err, "");
}

#[cfg(unix)]
#[test]
fn options_show_that_runs_share_tokens() {
    let shell = Shell::new();
    let run = shell.output(&mut shell.sharing(&["options", "--json"]));
    let table = run.json();
    let row = table.as_array().expect("an array").iter().find(|row| row["key"] == "store");
    let row = row.expect("its row");
    assert_eq!((&row["value"], &row["source"]), (&"file".into(), &"default".into()));
    assert_eq!(row["default"], "file");
    // The table and the help of every command with the flag say so, too.
    let markdown = shell.run(&["options", "--markdown"]);
    assert!(markdown.out.contains("`TRACKUNIT_STORE` | `file` |"), "{markdown:?}");
    for command in ["get", "exec", "doctor", "options"] {
        let help = shell.run(&["help", command]).out;
        let store = help.split("--store ").nth(1).expect("the flag").split("--").next();
        assert!(store.is_some_and(|text| text.contains("[default: file]")), "{command}: {help}");
    }
}

#[test]
fn a_flag_switches_off_the_environments_twin() {
    let shell = Shell::new();
    let table = shell.run(&["options", "--json", "--client-secret-file", "/x"]).json();
    let row = |key: &str| {
        let rows = table.as_array().expect("an array");
        rows.iter().find(|row| row["key"] == key).expect(key)["source"].clone()
    };
    assert_eq!(
        (row("client_secret"), row("client_secret_file")),
        ("default".into(), "flag".into())
    );
}

#[test]
fn options_as_a_table_and_in_markdown() {
    let shell = Shell::new();
    let table = shell.run(&["options"]);
    let lines: Vec<&str> = table.out.lines().collect();
    assert_eq!(lines.len(), tu_token::OPTIONS.len() + 1);
    assert!(lines[0].starts_with("OPTION"));
    let markdown = shell.run(&["options", "--markdown"]);
    for option in tu_token::OPTIONS {
        assert!(table.out.contains(option.key) && markdown.out.contains(&option.env_name()));
    }
}

#[test]
fn help_has_examples_everywhere() {
    let shell = Shell::new();
    let emulator = cfg!(feature = "emulator").then_some("emulator");
    for command in ["get", "exec", "doctor", "options", "completions"].into_iter().chain(emulator) {
        for help in ["-h", "--help"] {
            let run = shell.run(&[command, help]);
            assert_eq!(run.code, Some(0));
            assert!(run.out.contains("Examples:"), "{command} {help}");
        }
    }
    assert!(shell.run(&["get", "--help"]).out.contains("--max-requests-per-minute"));
    assert!(!shell.run(&["get", "-h"]).out.contains("--max-requests-per-minute"));
    let version = format!("tu-token {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(shell.run(&["--version"]).out, version);
}

#[cfg(not(feature = "emulator"))]
#[test]
fn without_the_emulator_it_says_where_to_get_one() {
    let shell = Shell::new();
    for arguments in [&["emulator"][..], &["emulator", "--help"], &["emulator", "--port", "0", "x"]]
    {
        let run = shell.run(arguments);
        assert_eq!((run.code, run.out.as_str()), (Some(2), ""), "{run:?}");
        let said = run.err.contains("without the emulator") && run.err.contains("docs/command.md");
        assert!(said && run.err.lines().count() == 2, "{run:?}");
    }
    for help in [&["--help"][..], &["-h"], &["help"]] {
        let run = shell.run(help);
        assert!(run.out.contains("tu-token doctor") && !run.out.contains("emulator"), "{run:?}");
    }
    assert!(shell.run(&["help", "emulator"]).out.contains("was built without"));
    for name in ["bash", "zsh", "fish"] {
        let script = shell.run(&["completions", name]).out;
        assert!(script.contains("doctor") && !script.contains("emulator"), "{script}");
    }
}

#[cfg(all(unix, feature = "emulator"))]
#[test]
fn the_emulator_starts_serves_and_stops() {
    let shell = Shell::new();
    let mut child = shell
        .stranger(&["emulator", "--port", "0", "--client-id", "id", "--client-secret", "hush"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("started");
    let lines: Vec<String> = BufReader::new(child.stdout.take().expect("a pipe"))
        .lines()
        .map_while(Result::ok)
        .take(5)
        .collect();
    let url = lines
        .iter()
        .find_map(|line| line.strip_prefix("export TRACKUNIT_TOKEN_URL="))
        .unwrap_or_else(|| panic!("{lines:?}"));
    let mut get = shell.stranger(&["get", "--client-id", "id", "--scope", "asset.view"]);
    let run =
        shell.output(get.env("TRACKUNIT_TOKEN_URL", url).env("TRACKUNIT_CLIENT_SECRET", "hush"));
    assert_eq!(run.code, Some(0), "{run:?}");
    let killed = Command::new("kill").arg(child.id().to_string()).status().expect("kill");
    assert!(killed.success());
    assert_eq!(child.wait().expect("ended").code(), Some(0));
    let run = shell.run(&["emulator", "--port", &shell.emulator.address().port().to_string()]);
    assert_eq!(run.code, Some(2), "{run:?}");
}
