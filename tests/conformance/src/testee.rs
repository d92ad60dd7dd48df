//! The testee's process: one line of JSON in, one line out.

use std::env;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::Value;

/// How long a testee may take to end after the end of its input.
const ENDING: Duration = Duration::from_secs(10);

/// A running testee. Dropping it ends the process.
pub struct Testee {
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
    said: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
    /// The maximum time for an answer.
    bound: Duration,
}

impl Testee {
    /// Starts it with an environment without variables of the library.
    pub fn start(command: &[String], bound: Duration) -> Result<Self, String> {
        let (program, arguments) = command.split_first().ok_or("no command was given")?;
        let mut command = Command::new(program);
        command.args(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        for (name, _) in env::vars_os() {
            if name.to_string_lossy().starts_with("TRACKUNIT_") {
                command.env_remove(name);
            }
        }
        let mut child = command.spawn().map_err(|error| format!("{program}: {error}"))?;
        let (output, mut errors) = (child.stdout.take(), child.stderr.take());
        let (sender, lines) = channel();
        thread::spawn(move || {
            let lines = output.map(BufReader::new).into_iter().flat_map(|output| output.lines());
            // Ends when the testee or the receiver is gone.
            let _ = lines.map_while(Result::ok).try_for_each(|line| sender.send(line));
        });
        let said = Arc::<Mutex<Vec<u8>>>::default();
        let heard = said.clone();
        let reader = thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Some(length @ 1..) =
                errors.as_mut().and_then(|errors| errors.read(&mut buffer).ok())
            {
                if let Ok(mut said) = heard.lock() {
                    said.extend_from_slice(&buffer[..length]);
                }
            }
        });
        let input = child.stdin.take();
        Ok(Self { child, input, lines, said, reader: Some(reader), bound })
    }

    /// Sends a request and returns the answer.
    pub fn ask(&mut self, request: &Value) -> Result<Value, String> {
        let input = self.input.as_mut().ok_or("its input has ended")?;
        let sent = writeln!(input, "{request}").and_then(|()| input.flush());
        sent.map_err(|error| format!("the testee has gone ({error}){}", self.last_words()))?;
        match self.lines.recv_timeout(self.bound) {
            Ok(line) => serde_json::from_str(&line)
                .map_err(|error| format!("the testee said \"{line}\": {error}")),
            Err(RecvTimeoutError::Timeout) => {
                Err(format!("no answer within {:?} to {request}", self.bound))
            }
            Err(RecvTimeoutError::Disconnected) => {
                Err(format!("the testee ended at {request}{}", self.last_words()))
            }
        }
    }

    /// Its standard error so far.
    pub fn said(&self) -> String {
        let said = self.said.lock().map(|said| said.clone()).unwrap_or_default();
        String::from_utf8_lossy(&said).into_owned()
    }

    fn last_words(&self) -> String {
        let said = self.said();
        let lines: Vec<&str> = said.lines().collect();
        let last = &lines[lines.len().saturating_sub(20)..];
        if last.is_empty() { String::new() } else { format!("; it said:\n{}", last.join("\n")) }
    }

    /// Ends its input, and returns its standard error if it exits successfully.
    pub fn finish(mut self) -> Result<String, String> {
        self.input = None;
        let end = Instant::now() + ENDING;
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) if status.success() => break,
                Ok(Some(status)) => {
                    return Err(format!("the testee ended with {status}{}", self.last_words()));
                }
                Ok(None) if Instant::now() < end => thread::sleep(Duration::from_millis(2)),
                Ok(None) => return Err(format!("the testee did not end within {ENDING:?}")),
                Err(error) => return Err(error.to_string()),
            }
        }
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
        Ok(self.said())
    }
}

impl Drop for Testee {
    fn drop(&mut self) {
        self.input = None;
        // Ends it if it has not ended yet.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
