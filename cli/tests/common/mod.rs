//! Runs the real binary against an emulator, and checks that no output contains the secret.

// Each test file uses only a part of this.
#![allow(dead_code)]

use std::ffi::OsStr;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;
use tu_token_emulator::{Emulator, Fault};

pub const BINARY: &str = env!("CARGO_BIN_EXE_tu-token");

/// A shell with the emulator's variables.
pub struct Shell {
    pub emulator: Emulator,
    pub home: TempDir,
}

/// The result of a run.
#[derive(Debug)]
pub struct Run {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Shell {
    pub fn new() -> Self {
        let emulator = Emulator::start().expect("an emulator");
        Self { emulator, home: tempfile::tempdir().expect("a directory") }
    }

    /// A shell whose emulator has a fault.
    pub fn with(fault: Fault) -> Self {
        let shell = Self::new();
        shell.emulator.faults([fault]).expect("a fault");
        shell
    }

    pub fn secret(&self) -> &str {
        &self.emulator.demo_key().client_secret
    }

    /// The command with only the emulator's variables in its environment, its own home directory, and no
    /// tokens of earlier runs.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.stranger(arguments);
        command
            .env("TRACKUNIT_CLIENT_ID", &self.emulator.demo_key().client_id)
            .env("TRACKUNIT_CLIENT_SECRET", self.secret())
            .env("TRACKUNIT_SCOPE", "asset.view");
        command
    }

    /// The same without id, secret and scope.
    pub fn stranger(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(BINARY);
        command
            .args(arguments)
            .env_clear()
            .env("PATH", path())
            .env("HOME", self.home.path())
            .env("TRACKUNIT_TOKEN_URL", self.emulator.token_url())
            .env("TRACKUNIT_STORE", "memory")
            // On a busy machine, too, no run goes on without its store.
            .env("TRACKUNIT_STORE_TIMEOUT", "10s")
            .stdin(Stdio::null());
        command
    }

    /// The command with tokens of earlier runs, in the directory that it uses by itself.
    pub fn sharing(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(arguments);
        command.env_remove("TRACKUNIT_STORE");
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Run {
        self.output(&mut self.command(arguments))
    }

    /// Runs a command and checks its output for the secret.
    pub fn output(&self, command: &mut Command) -> Run {
        let output = command.output().expect("started");
        let run = Run::from(output);
        for text in [&run.out, &run.err] {
            assert!(!text.contains(self.secret()), "the secret is shown: {run:?}");
        }
        assert!(!run.err.contains("panicked"), "{run:?}");
        run
    }

    /// Builds a library of `tests/preload` to be loaded into a program with `LD_PRELOAD`.
    #[cfg(target_os = "linux")]
    pub fn preload(&self, name: &str) -> PathBuf {
        let source = format!("{}/tests/preload/{name}.c", env!("CARGO_MANIFEST_DIR"));
        let library = self.home.path().join(format!("{name}.so"));
        let flags = ["-std=c11", "-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"];
        let mut compiler = Command::new("cc");
        compiler.args(flags).arg(source).arg("-o").arg(&library).arg("-ldl");
        assert!(compiler.status().expect("a C compiler").success());
        library
    }

    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.home.path().join(name);
        std::fs::write(&path, text).expect("written");
        set_mode(&path, 0o600);
        path
    }
}

/// A process with piped output, killed when dropped.
pub struct Started(pub Child);

impl Started {
    pub fn start(command: &mut Command) -> Self {
        Self(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("started"))
    }

    /// Waits for its end. The output is short, so no pipe fills up before the other has been read.
    pub fn end(mut self) -> Run {
        let (mut out, mut err) = (String::new(), String::new());
        let piped = (self.0.stdout.take(), self.0.stderr.take());
        piped.0.expect("a pipe").read_to_string(&mut out).expect("text");
        piped.1.expect("a pipe").read_to_string(&mut err).expect("text");
        Run { code: self.0.wait().expect("ended").code(), out, err }
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).expect("text"),
            err: String::from_utf8(output.stderr).expect("text"),
        }
    }
}

impl Run {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Another program in the environment of `command`.
pub fn instead(command: &Command, program: &Path, arguments: &[&str]) -> Command {
    let mut other = Command::new(program);
    other.args(arguments).env_clear().stdin(Stdio::null());
    other.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    other
}

pub fn set_mode(path: &Path, mode: u32) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("a mode");
    }
    #[cfg(not(unix))]
    let _ = (path, mode);
}

/// A PATH that begins with the binary's directory, so that scripts find it.
pub fn path() -> std::ffi::OsString {
    let own = Path::new(BINARY).parent().expect("a directory").to_owned();
    let rest = std::env::var_os("PATH").unwrap_or_default();
    std::env::join_paths(std::iter::once(own).chain(std::env::split_paths(&rest)))
        .unwrap_or_else(|_| OsStr::new("").to_owned())
}
