//! The emulator as a command: options in, lines to paste out, until a signal comes.

use std::fmt;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use clap::Args;

use crate::account::NewKey;
use crate::builder::{Builder, DEMO_SCOPES, StartError};
use crate::emulator::Emulator;
use crate::oauth::Readings;

/// The command's options. Another command can flatten them into its own.
#[derive(Args, Clone)]
pub struct Options {
    /// Port to listen on, on 127.0.0.1; 0 takes any free one
    #[arg(long, default_value_t = 8477)]
    pub port: u16,

    /// Lifetime of a token in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 1200)]
    pub expires_in: u64,

    /// Active API keys the account may have
    #[arg(long, value_name = "COUNT", default_value_t = 10)]
    pub max_keys: usize,

    /// Random bytes in a token; 675 make a text of about 900 characters
    #[arg(long, value_name = "BYTES", default_value_t = 40)]
    pub token_length: usize,

    /// Write the four lines to this file too (mode 0600) once the emulator listens; removed at the end
    #[arg(long, value_name = "FILE")]
    pub env_file: Option<PathBuf>,

    /// Scopes the demo key may ask for, blanks between them
    #[arg(long, value_name = "LIST", default_value = DEMO_SCOPES)]
    pub scopes: String,

    /// Client id of the demo key, for tests [default: random]
    #[arg(long, value_name = "ID")]
    pub client_id: Option<String>,

    /// Client secret of the demo key, for tests: others on this machine can see it [default: random]
    #[arg(long, value_name = "SECRET")]
    pub client_secret: Option<String>,

    /// Listen on ::1 instead of 127.0.0.1
    #[arg(long)]
    pub ipv6: bool,

    /// Status of invalid_client for credentials in the body
    #[arg(
        long,
        value_name = "400|401",
        default_value_t = 401,
        help_heading = "What the service's documentation leaves open"
    )]
    pub invalid_client_status: u16,

    /// Take credentials in the body alone, not by HTTP Basic
    #[arg(long, help_heading = "What the service's documentation leaves open")]
    pub no_basic: bool,

    /// A request without a scope gets all scopes of its key
    #[arg(long, help_heading = "What the service's documentation leaves open")]
    pub scope_optional: bool,

    /// Revoking a key ends its tokens
    #[arg(long, help_heading = "What the service's documentation leaves open")]
    pub revoke_ends_tokens: bool,

    /// The secret before a rotation works until the next rotation
    #[arg(long, help_heading = "What the service's documentation leaves open")]
    pub rotate_overlap: bool,

    /// A new token ends the earlier ones of its key
    #[arg(long, help_heading = "What the service's documentation leaves open")]
    pub single_token: bool,
}

/// Why the command ended early.
#[derive(Debug)]
#[non_exhaustive]
pub enum RunError {
    /// The emulator could not be started.
    Start(StartError),
    /// The file for the four lines could not be written.
    EnvFile(PathBuf, io::Error),
    /// The system gives no signals or no output.
    System(io::Error),
}

impl RunError {
    /// The process's exit code: 2 for what the caller can set right, 70 for the rest.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            RunError::Start(StartError::Thread(_)) | RunError::System(_) => 70,
            RunError::Start(_) | RunError::EnvFile(..) => 2,
        }
    }
}

impl fmt::Display for RunError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RunError::Start(error) => error.fmt(out),
            RunError::EnvFile(path, error) => {
                write!(out, "cannot write {}: {error}", path.display())
            }
            RunError::System(error) => {
                write!(out, "the system refused what the emulator needs: {error}")
            }
        }
    }
}

impl std::error::Error for RunError {}

impl Options {
    fn builder(&self) -> Builder {
        let mut demo =
            NewKey::new("demo", &self.scopes).description("made when the emulator was started");
        demo.client_id.clone_from(&self.client_id);
        demo.client_secret.clone_from(&self.client_secret);
        Emulator::builder()
            .port(self.port)
            .ipv6(self.ipv6)
            .expires_in(self.expires_in)
            .max_keys(self.max_keys)
            .token_length(self.token_length)
            .demo_key(demo)
            .readings(Readings {
                invalid_client_status: self.invalid_client_status,
                basic: !self.no_basic,
                scope_optional: self.scope_optional,
                revoke_ends_tokens: self.revoke_ends_tokens,
                rotate_overlap: self.rotate_overlap,
                single_token: self.single_token,
            })
    }
}

/// Runs an emulator until Ctrl-C or SIGTERM. Standard output gets lines for a shell; what is meant for people stands
/// behind a `#`.
///
/// # Errors
/// It could not be started, or the file for the lines could not be written.
pub fn run(options: &Options) -> Result<(), RunError> {
    // As far as the system allows; with less, a load test runs out of connections.
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(RunError::System)?;
    runtime.block_on(async {
        // Asked for first, so that a signal that comes early ends the emulator in order too.
        let signal = signals().map_err(RunError::System)?;
        if let Some(path) = &options.env_file {
            remove(path).map_err(|error| RunError::EnvFile(path.clone(), error))?;
        }
        let emulator = options.builder().start().map_err(RunError::Start)?;
        let lines = shell_lines(&emulator);
        if let Some(path) = &options.env_file {
            write_private(path, &lines).map_err(|error| RunError::EnvFile(path.clone(), error))?;
        }
        announce(&emulator, &lines);
        signal.await;
        if let Some(path) = &options.env_file {
            // It holds a secret, and names a port where soon nobody listens.
            let _ = remove(path);
        }
        Ok(())
    })
}

/// Ready when the process is asked to end.
fn signals() -> io::Result<impl Future<Output = ()>> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        Ok(async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        })
    }
    #[cfg(windows)]
    {
        let mut interrupt = tokio::signal::windows::ctrl_c()?;
        Ok(async move {
            interrupt.recv().await;
        })
    }
}

/// A closed standard output is no reason to end: the file may be all that is wanted.
fn announce(emulator: &Emulator, lines: &str) {
    let text = format!(
        "# The emulator listens on {} until Ctrl-C. For a program's shell:\n{lines}\
         # The key allows: {}\n",
        emulator.url(),
        emulator.demo_key().scopes.join(" ")
    );
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Four lines that tell a program where to ask, and as whom.
fn shell_lines(emulator: &Emulator) -> String {
    let key = emulator.demo_key();
    let usual = key.scopes.iter().find(|scope| *scope == "asset.view");
    let scope = usual.or(key.scopes.first()).map_or("", String::as_str);
    let lines = [
        ("TRACKUNIT_CLIENT_ID", key.client_id.as_str()),
        ("TRACKUNIT_CLIENT_SECRET", &key.client_secret),
        ("TRACKUNIT_SCOPE", scope),
        ("TRACKUNIT_TOKEN_URL", &emulator.token_url()),
    ];
    lines.map(|(name, value)| format!("export {name}={}\n", quoted(value))).concat()
}

/// The value as one word of a POSIX shell.
fn quoted(value: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./:".contains(letter);
    if !value.is_empty() && value.chars().all(plain) {
        return value.to_owned();
    }
    format!("'{}'", value.replace('\'', r"'\''"))
}

fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Writes a file that only its owner can read. It appears complete or not at all.
fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let mut draft_name = name.to_owned();
    draft_name.push(format!(".{}.part", std::process::id()));
    let draft = path.with_file_name(draft_name);
    // Whatever stands there was left by a process of the same number that is gone.
    remove(&draft)?;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options
        .open(&draft)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .and_then(|()| std::fs::rename(&draft, path));
    if written.is_err() {
        let _ = remove(&draft);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_one_word_for_a_shell() {
        for (value, word) in [
            ("abc-_.1", "abc-_.1"),
            ("http://127.0.0.1:1/token/v2", "http://127.0.0.1:1/token/v2"),
            ("a b", "'a b'"),
            ("$(x)`y`", "'$(x)`y`'"),
            ("it's", r"'it'\''s'"),
            ("", "''"),
        ] {
            assert_eq!(quoted(value), word);
        }
    }
}
