//! Finds the processes started by a test, by a mark that every child inherits.

use std::fs;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The environment variable used as the mark.
pub const MARK: &str = "TU_TOKEN_BROWSER_TEST";

/// The processes with this mark, in their environment or on their command line. Zombies have neither.
pub fn marked(mark: &str) -> Vec<u32> {
    let own = std::process::id();
    let ids = fs::read_dir("/proc").into_iter().flatten().flatten();
    ids.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|id| *id != own)
        .filter(|id| {
            ["environ", "cmdline"].iter().any(|file| {
                let text = fs::read(format!("/proc/{id}/{file}")).unwrap_or_default();
                text.windows(mark.len()).any(|window| window == mark.as_bytes())
            })
        })
        .collect()
}

/// Waits until no process has the mark. Those that are still there after that are killed and returned.
pub fn await_end(mark: &str, bound: Duration) -> Vec<u32> {
    let from = Instant::now();
    while from.elapsed() < bound {
        if marked(mark).is_empty() {
            return Vec::new();
        }
        sleep(Duration::from_millis(50));
    }
    let left = marked(mark);
    for id in &left {
        let id = id.to_string();
        let _ = Command::new("kill").args(["-KILL", &id]).stderr(Stdio::null()).status();
    }
    left
}
