//! Network faults: a table of them, each tried against real sockets, and the page made of it.
//!
//! - [`row`] what a row is; [`rows`] the table
//! - [`watch`] tries a row and compares; [`leaks`] searches what was shown for secrets
//! - [`scene`] sound servers and clients; [`line`] leads a client from one server to another
//! - [`memory`] counts what a request allocates
//! - [`page`] `docs/network-faults.md`
//!
//! The program is one of its own because it replaces `getaddrinfo`, `connect` and the allocator.
//! `NETWORK_FAULTS=text cargo test --test network -- --nocapture` tries the rows whose names contain the
//! text, and shows what was observed.

// With the C ABI, the library brings an allocator of its own.
#![cfg(all(target_os = "linux", not(feature = "capi")))]

#[path = "../support/getaddrinfo.rs"]
mod getaddrinfo;
mod leaks;
mod line;
mod memory;
mod page;
mod row;
mod rows;
mod scene;
#[path = "../support/mod.rs"]
mod support;
mod watch;

use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use leaks::Search;
use row::{Group, Row};
use scene::Scene;
use support::lossy;

/// Tries at the same time. Most of the time they wait.
const WORKERS: usize = 24;

/// Names the directory of the test that runs in a process of its own.
const CHILD: &str = "NETWORK_FAULTS_TABLE";

#[test]
fn the_table() {
    let files = tempfile::tempdir().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "in_a_process_of_its_own", "--ignored", "--nocapture"]);
    child.env(CHILD, files.path()).env("SSL_CERT_FILE", files.path().join("system.pem"));
    child.env_remove("SSL_CERT_DIR");
    for name in ["HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy"] {
        child.env_remove(name);
    }
    let ended = child.output().unwrap();
    let (output, errors) = (lossy(&ended.stdout), lossy(&ended.stderr));
    print!("{output}{errors}");
    assert!(ended.status.success() && output.contains("1 passed"), "see above");
}

#[test]
#[ignore = "run by the test above, in an environment of its own"]
fn in_a_process_of_its_own() {
    let Some(files) = std::env::var_os(CHILD) else { return };
    let scene: &Scene = Box::leak(Box::new(Scene::new(files.into())));
    let groups = rows::all(scene);
    let wrong = try_all(scene, &groups);
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    page::check(&groups);
}

/// Tries every row; returns what was wrong.
fn try_all(scene: &Scene, groups: &[Group]) -> Vec<String> {
    let search = Search::new();
    let chosen = std::env::var("NETWORK_FAULTS").unwrap_or_default();
    let tries: Vec<(&str, &Row, usize)> = groups
        .iter()
        .flat_map(|group| group.rows.iter().map(move |row| (group.heading, row)))
        .filter(|(heading, row)| format!("{heading}: {}", row.fault).contains(&chosen))
        .flat_map(|(heading, row)| (0..row.tries.len()).map(move |number| (heading, row, number)))
        .collect();
    let (next, wrong) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let (largest, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                while let Some((heading, row, number)) =
                    tries.get(next.fetch_add(1, Ordering::SeqCst))
                {
                    let one = &row.tries[*number];
                    let observed =
                        watch::observe(scene, &search, one, row.expected.ends, *number == 0);
                    largest.fetch_max(observed.kib, Ordering::SeqCst);
                    let mut found = watch::compare(&row.expected, &observed);
                    if found.is_empty() {
                        let others = watch::wrong_expectations(&row.expected);
                        refused.fetch_add(others.len(), Ordering::SeqCst);
                        let believed =
                            others.iter().filter(|it| watch::compare(it, &observed).is_empty());
                        found.extend(believed.map(|it| format!("would also be right: {it:?}")));
                    }
                    let shown = format!("{heading}: {} ({})", row.fault, one.name);
                    wrong
                        .lock()
                        .unwrap()
                        .extend(found.into_iter().map(|it| format!("{shown}: {it}")));
                }
            });
        }
    });
    println!(
        "{} rows, {} tries, at most {} KiB; {} wrong expectations, all of which must be refused",
        groups.iter().map(|group| group.rows.len()).sum::<usize>(),
        tries.len(),
        largest.into_inner(),
        refused.into_inner()
    );
    wrong.into_inner().unwrap()
}
