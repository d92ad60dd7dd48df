//! The emulator as a command: parses options, prints the lines to paste, and runs until a signal.

use std::fmt;
use std::io::{self, Write as _};
use std::panic;
use std::path::PathBuf;

use crate::builder::StartError;
use crate::env_file::{self, Draft};
use crate::options::Options;
use crate::shell;
use crate::state::CHECKING_THREAD;

/// Why the command failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum RunError {
    /// The emulator could not be started.
    Start(StartError),
    /// The env file could not be written, or has other content.
    EnvFile(PathBuf, io::Error),
    /// The system provides no signals or no runtime.
    System(io::Error),
}

impl RunError {
    /// The process's exit code: 2 for errors that the caller can correct, 70 for others.
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
                write!(out, "the system denied the emulator a resource it needs: {error}")
            }
        }
    }
}

impl std::error::Error for RunError {}

/// Runs an emulator until Ctrl-C, SIGTERM or SIGHUP. It prints lines for a shell to standard output; text for people is in
/// `#` comments.
///
/// A program with its own subcommands can flatten [`Options`] into one of them:
///
/// ```no_run
/// use clap::Parser;
///
/// #[derive(Parser)]
/// enum Command {
///     /// Runs the emulator
///     Emulator(tu_token_emulator::Options),
/// }
///
/// let Command::Emulator(options) = Command::parse();
/// if let Err(error) = tu_token_emulator::run(&options) {
///     eprintln!("{error}");
///     std::process::exit(error.exit_code().into());
/// }
/// ```
///
/// It assumes that it owns the process: it raises the limit of open files and handles the signals.
///
/// # Errors
/// The emulator could not be started, or the env file could not be written.
pub fn run(options: &Options) -> Result<(), RunError> {
    // As far as the system allows: a load test needs many connections.
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |found| {
        // A panic of that thread is reported as an error instead.
        if std::thread::current().name() != Some(CHECKING_THREAD) {
            usual(found);
        }
    }));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(RunError::System)?;
    runtime.block_on(async {
        // First, so that even an early signal ends the emulator cleanly.
        let signal = signals().map_err(RunError::System)?;
        let builder = options.builder();
        builder.check().map_err(RunError::Start)?;
        let draft = draft(options)?;
        let emulator = builder.start().map_err(RunError::Start)?;
        let lines = shell::exports(&emulator);
        let publish = |(path, draft): (PathBuf, Draft)| {
            draft.publish(&lines).map_err(|error| RunError::EnvFile(path, error))
        };
        let env_file = draft.map(publish).transpose()?;
        announce(&shell::announcement(&emulator, &lines));
        signal.await;
        // It contains a secret, and names a port that will soon be closed.
        drop(env_file);
        Ok(())
    })
}

/// The draft of the env file and its path, where nothing has changed yet: the start may still fail.
fn draft(options: &Options) -> Result<Option<(PathBuf, Draft)>, RunError> {
    let Some(path) = &options.env_file else {
        return Ok(None);
    };
    let refused = |error| RunError::EnvFile(path.clone(), error);
    if options.state.as_ref().is_some_and(|state| env_file::is_one_place(path, state)) {
        let text = "it is also the state file: give --env-file and --state a file each";
        return Err(refused(io::Error::new(io::ErrorKind::InvalidInput, text)));
    }
    let draft = Draft::open(path).map_err(refused)?;
    Ok(Some((path.clone(), draft)))
}

/// A future that completes when the process is asked to end.
fn signals() -> io::Result<impl Future<Output = ()>> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut hangup = match hangups_are_ignored() {
            true => None,
            false => Some(signal(SignalKind::hangup())?),
        };
        Ok(async move {
            let hung_up = async {
                match &mut hangup {
                    Some(signal) => signal.recv().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                _ = hung_up => {}
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

/// Whether the process was started to outlive its terminal, for example with `nohup`. Known on Linux only.
#[cfg(unix)]
fn hangups_are_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let signals = ignored.and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok());
    // The lowest bit is signal 1, SIGHUP.
    signals.is_some_and(|signals| signals & 1 == 1)
}

/// A closed standard output is not an error: the env file may be enough.
fn announce(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
