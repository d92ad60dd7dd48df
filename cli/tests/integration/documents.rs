//! Runs the commands in the guides against an emulator.
//!
//! The `sh` blocks of a page form one script. A word after `sh` marks blocks that cannot be run
//! unchanged.

#![cfg(unix)]

use std::process::Command;

use crate::common::{Run, Shell, path};
use tu_token_emulator::Fault;

/// A block: the word after `sh`, and its text.
type Block<'a> = (&'a str, &'a str);

fn page(name: &str) -> String {
    let path = format!("{}/../docs/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn blocks(page: &str) -> Vec<Block<'_>> {
    let fences = page.split("\n```").collect::<Vec<_>>();
    // Every second part is inside a fence.
    fences
        .chunks(2)
        .filter_map(|pair| pair.get(1)?.strip_prefix("sh"))
        .map(|block| block.split_once('\n').expect("a block"))
        .map(|(word, text)| (word.trim(), text))
        .collect()
}

fn script(blocks: &[Block<'_>], words: &[&str]) -> String {
    let texts = blocks.iter().filter(|(word, _)| words.contains(word)).map(|(_, text)| *text);
    texts.collect::<Vec<_>>().join("\n")
}

/// Runs a script in a shell with the emulator's variables; service URLs are replaced by the emulator's.
fn sh(shell: &Shell, script: &str) -> Run {
    let (url, key) = (shell.emulator.url(), shell.emulator.demo_key());
    let script = script
        .replace("http://127.0.0.1:8477", &url)
        .replace("https://iris.trackunit.com", &url)
        .replace("YOUR_CLIENT_ID", &key.client_id)
        .replace("YOUR_CLIENT_SECRET", &key.client_secret)
        .replace("unset TRACKUNIT_TOKEN_URL", &format!("TRACKUNIT_TOKEN_URL={url}/token/v2"));
    let mut command = Command::new("sh");
    command
        .args(["-euc", &script])
        .current_dir(shell.home.path())
        .env_clear()
        .env("PATH", path())
        .env("HOME", shell.home.path())
        .env("TRACKUNIT_CLIENT_ID", &key.client_id)
        .env("TRACKUNIT_CLIENT_SECRET", shell.secret())
        .env("TRACKUNIT_SCOPE", "asset.view")
        .env("TRACKUNIT_TOKEN_URL", shell.emulator.token_url())
        .env("IRIS_URL", &url);
    shell.output(&mut command)
}

fn runs(shell: &Shell, script: &str) -> Run {
    assert!(script.contains("tu-token"), "nothing to run");
    let run = sh(shell, script);
    assert_eq!((run.code, run.err.as_str()), (Some(0), ""), "{run:?}");
    run
}

#[test]
fn getting_started() {
    let (shell, page) = (Shell::new(), page("getting-started.md"));
    let blocks = blocks(&page);
    let run = runs(&shell, &script(&blocks, &[""]));
    assert_eq!(run.out.matches("Wheel loader 01").count(), 2, "{run:?}");
    let refused = sh(&shell, &script(&blocks, &["refused"]));
    assert_eq!(refused.code, Some(3), "{refused:?}");
    let real = runs(&shell, &script(&blocks, &["real"]));
    assert_eq!(real.out.matches("Wheel loader 01").count(), 1, "{real:?}");
    // The lines to paste are those printed by the emulator.
    let paste = script(&blocks, &["paste"]);
    let names: Vec<&str> = paste
        .lines()
        .filter_map(|line| line.strip_prefix("export ")?.split_once('='))
        .map(|(name, _)| name)
        .collect();
    let keys =
        ["CLIENT_ID", "CLIENT_SECRET", "SCOPE", "TOKEN_URL"].map(|key| format!("TRACKUNIT_{key}"));
    assert!(names.len() == 5 && keys.iter().all(|key| names.contains(&key.as_str())), "{names:?}");
    assert!(names.contains(&"IRIS_URL"), "{names:?}");
    assert_eq!(script(&blocks, &["emulator"]).trim(), "tu-token emulator");
}

#[test]
fn an_apis_refusal_of_a_token_is_shown() {
    for name in ["getting-started.md", "command.md"] {
        let (shell, page) = (Shell::with(Fault::status(403).on("/api/asset")), page(name));
        let blocks = blocks(&page);
        let calls = blocks.iter().filter(|(word, text)| word.is_empty() && text.contains("curl"));
        for (_, text) in calls {
            let run = sh(&shell, text);
            let said = run.out
                + &std::fs::read_to_string(shell.home.path().join("page-0.json"))
                    .unwrap_or_default();
            assert_eq!(run.code, Some(22), "{name}: {text}\n{said}");
            assert!(said.contains("\"status\":403"), "{name}: {text}\n{said}");
        }
    }
}

#[test]
fn the_command() {
    let shell = Shell::new();
    runs(&shell, &script(&blocks(&page("command.md")), &[""]));
    let doctor = std::fs::read_to_string(shell.home.path().join("doctor.json")).expect("written");
    let report: serde_json::Value = serde_json::from_str(&doctor).expect("JSON");
    // The table lists every check, in order.
    let checks = report["checks"].as_array().expect("an array");
    let rows: Vec<String> = page("command.md")
        .lines()
        .skip_while(|line| !line.starts_with("| check |"))
        .skip(2)
        .map_while(|line| Some(line.strip_prefix("| `")?.split_once('`')?.0.to_owned()))
        .collect();
    assert_eq!(rows, checks.iter().map(|check| check["check"].clone()).collect::<Vec<_>>());
}

#[test]
fn after_a_401_a_script_asks_once_more() {
    let shell = Shell::with(Fault::reject_v2("/api/asset").once());
    let script = script(&blocks(&page("command.md")), &["renew"]);
    runs(&shell, &script);
    shell.emulator.faults([Fault::reject_v2("/api/asset").times(2)]).expect("faults");
    let refused = sh(&shell, &script);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.err.contains("\"status\":401"), "{refused:?}");
}

#[test]
fn key_rotation() {
    let shell = Shell::new();
    runs(&shell, &script(&blocks(&page("key-rotation.md")), &[""]));
    let keys = shell.emulator.keys();
    let active: Vec<&str> =
        keys.iter().filter(|key| key.is_active()).map(|key| key.name.as_str()).collect();
    assert_eq!(active, ["gateway-2026-01"]);
}

#[test]
fn deployment() {
    let shell = Shell::new();
    runs(&shell, &script(&blocks(&page("deployment.md")), &[""]));
}

#[test]
fn testing() {
    let shell = Shell::new();
    runs(&shell, &script(&blocks(&page("testing.md")), &[""]));
}

/// If the emulator does not start, the tests do not run with the caller's own credentials. Bash
/// continues after a file that is not there.
#[test]
fn testing_without_an_emulator() {
    let (shell, page) = (Shell::new(), page("testing.md"));
    let home = shell.home.path();
    std::fs::create_dir(home.join("bin")).expect("made");
    let command = shell.write("bin/tu-token", "#!/bin/sh\n[ $1 = emulator ] || touch reached\n");
    crate::common::set_mode(&command, 0o700);
    let search = format!("{}:{}", home.join("bin").display(), path().to_string_lossy());
    let mut bash = Command::new("bash");
    bash.args(["-c", &script(&blocks(&page), &[""])]).current_dir(home).env("PATH", search);
    let run = shell.output(&mut bash);
    assert!(run.code != Some(0) && !home.join("reached").exists(), "{run:?}");
}

/// The script that notifies a gateway about the network, with a systemctl that prints its arguments.
#[test]
fn a_gateway_is_notified_that_the_network_is_back() {
    let shell = Shell::new();
    let (page, bin) = (page("embedded.md"), shell.home.path().join("bin"));
    let blocks = blocks(&page);
    runs(&shell, &script(&blocks, &["check"]));
    let dispatcher = shell.write("dispatcher", &script(&blocks, &["dispatcher"]));
    std::fs::create_dir(&bin).expect("made");
    crate::common::set_mode(&shell.write("bin/systemctl", "#!/bin/sh\necho \"$*\"\n"), 0o700);
    let search = format!("{}:{}", bin.display(), std::env::var("PATH").expect("a path"));
    for (called, tells) in [
        ("wwan0 up", true),
        ("tun0 vpn-up", true),
        ("none connectivity-change", true),
        ("wwan0 down", false),
        ("wwan0 pre-up", false),
        ("/Modem/0 /Bearer/0 wwan0 connected", true),
        ("/Modem/0 /Bearer/0 wwan0 disconnected", false),
        ("post suspend", true),
        ("pre suspend", false),
        ("", false),
    ] {
        let mut command = Command::new("sh");
        command.arg(&dispatcher).args(called.split_whitespace()).env("PATH", &search);
        let run = shell.output(&mut command);
        let wanted = "kill --signal=SIGUSR1 --kill-who=main gateway.service\n";
        assert_eq!(run.out, if tells { wanted } else { "" }, "{called}: {run:?}");
        assert_eq!((run.code, run.err.as_str()), (Some(0), ""), "{called}: {run:?}");
    }
}

#[test]
fn the_readme() {
    let shell = Shell::new();
    let report =
        shell.write("report.sh", "#!/bin/sh\ntest -n \"$TRACKUNIT_TOKEN\" && echo reported\n");
    crate::common::set_mode(&report, 0o700);
    let page = page("../README.md");
    let (_, section) = page.split_once("\n## At the shell\n").expect("the section");
    let (install, rest) = blocks(section)[0].1.split_once('\n').expect("lines");
    assert!(install.starts_with("pip install tu-token-cli "), "{install}");
    assert!(page.contains("`cargo install --locked --path cli`"), "from source");
    // Without -s, curl shows its progress.
    let run = runs(&shell, &rest.replace("curl -H", "curl -sS --fail-with-body -H"));
    assert!(run.out.ends_with("reported\n"), "{run:?}");
}

#[test]
fn the_examples_in_the_helps() {
    let shell = Shell::new();
    let report = shell.write("report.sh", "#!/bin/sh\ntest -n \"$TRACKUNIT_TOKEN\"\n");
    crate::common::set_mode(&report, 0o700);
    let secret = shell.write("secret", shell.secret());
    let mut typed = 0;
    for command in ["get", "exec", "doctor", "options"] {
        let help = shell.run(&["help", command]).out;
        let examples = help.lines().filter_map(|line| line.strip_prefix("    tu-token "));
        for example in examples {
            let line = format!("tu-token {example}\n")
                .replace("curl -H", "curl -sS --fail-with-body -H")
                .replace("\"$URL\"", "\"$IRIS_URL/api/asset/v2/assets?size=1\"")
                .replace("--client-secret-file", "--store memory --client-secret-file")
                .replace("/run/secrets/trackunit", secret.to_str().expect("a path"))
                .replace(" | jq '", " | true '");
            runs(&shell, &line);
            typed += 1;
        }
    }
    assert!(typed >= 8, "{typed}");
}

#[test]
fn every_variable_and_option_in_the_guides_exists() {
    let variables: Vec<String> = tu_token::OPTIONS.iter().map(|it| it.env_name()).collect();
    for name in [
        "getting-started.md",
        "command.md",
        "key-rotation.md",
        "deployment.md",
        "embedded.md",
        "waits.md",
        "errors.md",
        "testing.md",
    ] {
        let page = page(name);
        let words = page.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
        for word in words.filter(|word| word.starts_with("TRACKUNIT_")) {
            let is_known = word == "TRACKUNIT_TOKEN" || variables.iter().any(|it| it == word);
            assert!(is_known, "{name}: {word}");
        }
    }
}
