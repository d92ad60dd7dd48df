//! The command in a separate process.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

pub fn command(file: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tu-token-emulator"));
    command.args(["--port", "0", "--state"]).arg(file).args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Killed when dropped.
pub struct Killed(pub Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts the command and reads its output up to the page's URL.
pub fn spawn(file: &Path, arguments: &[&str]) -> (Killed, Vec<String>) {
    read_start(&mut command(file, arguments))
}

pub fn read_start(command: &mut Command) -> (Killed, Vec<String>) {
    let mut child = Killed(command.spawn().expect("started"));
    let mut lines = Vec::new();
    for line in BufReader::new(child.0.stdout.take().expect("a pipe")).lines() {
        lines.push(line.expect("a line"));
        if lines.last().is_some_and(|line| line.starts_with("# API keys, requests")) {
            break;
        }
    }
    (child, lines)
}

pub fn exported<'a>(lines: &'a [String], name: &str) -> Option<&'a str> {
    let start = format!("export TRACKUNIT_{name}=");
    lines.iter().find_map(|line| line.strip_prefix(&start))
}
