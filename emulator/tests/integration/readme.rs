//! Runs the shell commands in the README.

#![cfg(unix)]

use std::path::Path;
use std::process::Command;

const README: &str = include_str!("../../README.md");

/// The shell blocks, in order.
fn blocks() -> Vec<&'static str> {
    let opened = README.split("\n```sh\n").skip(1);
    opened.map(|rest| rest.split_once("```").expect("an end").0).collect()
}

#[test]
fn every_fault_in_the_table_is_taken() {
    let emulator = tu_token_emulator::Emulator::start().expect("an emulator");
    let (_, table) = README.split_once("| member | what happens | example |").expect("the table");
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    let mut taken = 0;
    for row in rows {
        let (_, cell) = row.trim_end_matches(" |").rsplit_once(" | `").expect("an example");
        for fault in cell.trim_end_matches('`').split("`, `") {
            let answer = ureq::post(format!("{}/_emulator/faults", emulator.url())).send(fault);
            assert_eq!(answer.map(|answer| answer.status().as_u16()).ok(), Some(201), "{fault}");
            taken += 1;
        }
    }
    assert!(taken > 15, "{taken}");
}

#[test]
fn a_script_starts_it_takes_its_lines_and_switches_on_a_fault() {
    let [_cargo_run, printed, started, fault] = blocks()[..] else { panic!("other blocks") };
    let directory = tempfile::tempdir().expect("a directory");
    let fault = fault.replace("curl http://127.0.0.1:8477", "curl -sf $url");
    let script = format!(
        "trap 'kill $!' EXIT\n{started}\nurl=$IRIS_URL\n{fault}\n\
         curl -s -o answer -w '%{{http_code}}' $TRACKUNIT_TOKEN_URL -d grant_type=client_credentials\n\
         echo; env | grep -E '^(TRACKUNIT|IRIS)_' | cut -d = -f 1 | sort\n"
    );
    // The file of an emulator that was killed.
    std::fs::write(directory.path().join("emulator.env"), "exit 9\n").expect("written");
    let program = Path::new(env!("CARGO_BIN_EXE_tu-token-emulator")).parent().expect("a directory");
    let run = Command::new("sh")
        .args(["-eu", "-c", &script])
        .current_dir(&directory)
        .env("PATH", format!("{}:{}", program.display(), std::env::var("PATH").expect("a path")))
        .output()
        .expect("a shell");
    let (out, err) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert!(run.status.success(), "{out}{err}");
    assert!(out.contains("503"), "{out}{err}");
    let mut names: Vec<&str> = printed
        .lines()
        .filter_map(|line| Some(line.strip_prefix("export ")?.split_once('=')?.0))
        .collect();
    names.sort_unstable();
    assert!(out.trim_end().ends_with(&names.join("\n")), "{out}");
}
