//! The emulator as a command: options in, lines to paste out, until a signal comes.

use std::fmt;
use std::io::{self, Write as _};
use std::panic;
use std::path::{Path, PathBuf};

use crate::builder::StartError;
use crate::options::Options;
use crate::private_file::{self, Draft};
use crate::shell;
use crate::state::CHECKING_THREAD;

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

/// Runs an emulator until Ctrl-C or SIGTERM. Standard output gets lines for a shell; what is meant for people stands
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
        let draft = options.env_file.as_deref().map(env_file).transpose()?;
        let emulator = options.builder().start().map_err(RunError::Start)?;
        let lines = shell::exports(&emulator);
        if let (Some(path), Some(draft)) = (&options.env_file, draft) {
            draft.publish(&lines).map_err(|error| RunError::EnvFile(path.clone(), error))?;
        }
        announce(&shell::announcement(&emulator, &lines));
        signal.await;
        if let Some(path) = &options.env_file {
            // It holds a secret, and names a port where soon nobody listens.
            private_file::remove_own(path, &lines);
        }
        Ok(())
    })
}

/// The file for the lines. One of an earlier run names a port where nobody listens.
fn env_file(path: &Path) -> Result<Draft, RunError> {
    private_file::remove(path)
        .and_then(|()| Draft::open(path))
        .map_err(|error| RunError::EnvFile(path.to_owned(), error))
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
fn announce(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
