//! The emulator as a command: options in, lines to paste out, until a signal comes.

use std::fmt;
use std::io::{self, Write as _};
use std::panic;
use std::path::PathBuf;

use crate::builder::StartError;
use crate::env_file::{self, Draft};
use crate::options::Options;
use crate::shell;
use crate::state::CHECKING_THREAD;

/// Why the command ended early.
#[derive(Debug)]
#[non_exhaustive]
pub enum RunError {
    /// The emulator could not be started.
    Start(StartError),
    /// The file for the lines could not be written, or holds something else.
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

/// Runs an emulator until Ctrl-C, SIGTERM or SIGHUP. Standard output gets lines for a shell; what is meant for people stands
/// behind a `#`.
///
/// A program with commands of its own flattens [`Options`] into one of them:
///
/// ```no_run
/// use clap::Parser;
///
/// #[derive(Parser)]
/// enum Command {
///     /// Runs the service on your desk
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
/// It takes the process as its own: it lifts the limit of open files and handles the signals.
///
/// # Errors
/// It could not be started, or the file for the lines could not be written.
pub fn run(options: &Options) -> Result<(), RunError> {
    // As far as the system allows; with less, a load test runs out of connections.
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |found| {
        // What that thread finds is told in words of our own.
        if std::thread::current().name() != Some(CHECKING_THREAD) {
            usual(found);
        }
    }));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(RunError::System)?;
    runtime.block_on(async {
        // Asked for first, so that a signal that comes early ends the emulator in order too.
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
        // It holds a secret, and names a port where soon nobody listens.
        drop(env_file);
        Ok(())
    })
}

/// The file for the lines and its place, where nothing has changed yet: all else may still fail.
fn draft(options: &Options) -> Result<Option<(PathBuf, Draft)>, RunError> {
    let Some(path) = &options.env_file else {
        return Ok(None);
    };
    let refused = |error| RunError::EnvFile(path.clone(), error);
    if options.state.as_ref().is_some_and(|state| env_file::is_one_place(path, state)) {
        let text = "it is the state file too: give --env-file and --state a file each";
        return Err(refused(io::Error::new(io::ErrorKind::InvalidInput, text)));
    }
    let draft = Draft::open(path).map_err(refused)?;
    Ok(Some((path.clone(), draft)))
}

/// Ready when the process is asked to end.
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

/// Whether the process was started to outlive its terminal, as by `nohup`. Linux alone tells.
#[cfg(unix)]
fn hangups_are_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let signals = ignored.and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok());
    // The lowest bit is signal 1, SIGHUP.
    signals.is_some_and(|signals| signals & 1 == 1)
}

/// A closed standard output is no reason to end: the file may be all that is wanted.
fn announce(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
