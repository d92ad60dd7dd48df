//! The file store with two hundred processes, and with two users.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::{Outcome, outcome, rust, start};
use crate::support::{Server, token};

const PROCESSES: usize = 200;
/// A token of 12 s is renewed 3 s before its end, and up to another 3 s earlier by chance.
const LIFETIME: u64 = 12;
const EARLIEST_RENEWAL: Duration = Duration::from_secs(6);

#[test]
#[ignore = "takes three lifetimes of a token"]
fn two_hundred_processes_of_one_machine_make_the_requests_of_one() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::new(|before, _| token(&format!("token-{before}"), LIFETIME));
    let url = server.url();
    let store = format!("file:{}", directory.path().join("tokens").display());
    let options = [
        ("client_id", "id-of-a-client"),
        ("client_secret", "client-secret-0123456789"),
        ("token_url", url.as_str()),
        ("scope", "asset.view"),
        ("store", store.as_str()),
        // The machine may be busy.
        ("store_timeout", "10s"),
        ("log", "warn"),
    ];
    let started: Vec<_> = (0..PROCESSES).map(|_| start(rust(), &options, 3 * LIFETIME)).collect();
    let outcomes: Vec<_> = started.into_iter().map(outcome).collect();
    let requests = server.received();
    for outcome in &outcomes {
        assert_eq!((outcome.failed, outcome.expired), (0, 0), "{outcome:?}");
        let is_issued = |token: &String| {
            let number = token.strip_prefix("token-").and_then(|number| number.parse().ok());
            number.is_some_and(|number: usize| number < requests.len())
        };
        assert!(outcome.tokens.len() > 1 && outcome.tokens.iter().all(is_issued), "{outcome:?}");
    }
    let apart: Vec<_> = requests.windows(2).map(|two| two[1].at - two[0].at).collect();
    eprintln!("{} requests, so far apart: {apart:?}", requests.len());
    // A request reaches the server some time after the token's life begins by its client's clock: the first one while
    // two hundred processes start.
    assert!(apart.iter().all(|time| *time > EARLIEST_RENEWAL / 2), "{apart:?}");
}

/// Runs the program as another user, for one get, with the directories that the default store takes.
fn as_user(user: u32, place: &Path, server: &Server, runtime: &Path, home: &Path) -> Outcome {
    let mut command = Command::new(place.join("program"));
    command.args(rust().get_args());
    command.uid(user).gid(user).current_dir("/");
    command.env("XDG_RUNTIME_DIR", runtime).env_remove("XDG_CACHE_HOME").env("HOME", home);
    let url = server.url();
    let options = [
        ("client_id", "id-of-a-client"),
        ("client_secret", "client-secret-0123456789"),
        ("token_url", url.as_str()),
        ("scope", "asset.view"),
        ("store", "file"),
        ("store_timeout", "10s"),
        ("log", "warn"),
    ];
    outcome(start(command, &options, 0))
}

#[test]
fn two_users_of_one_machine_never_meet() {
    const USERS: [u32; 2] = [65_533, 65_532];
    // SAFETY: takes nothing.
    if unsafe { libc::geteuid() } != 0 {
        eprintln!("skipped: only root can start processes of two users");
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let chmod = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    chmod(place.path(), 0o755);
    // By a process of its own, as in `stores`.
    let program = place.path().join("program");
    let copied = Command::new("cp").arg(std::env::current_exe().unwrap()).arg(&program).status();
    assert!(copied.unwrap().success());
    chmod(&program, 0o755);
    let directory = |name: &str, owner, mode| {
        let path = place.path().join(name);
        std::fs::create_dir(&path).unwrap();
        chown(&path, Some(owner), Some(owner)).unwrap();
        chmod(&path, mode);
        path
    };
    let [one, other] = USERS;
    // Both have the variables of the first, as after `su`; then directories that are open to all.
    let (of_one, open) = (directory("run", one, 0o755), directory("open", 0, 0o1777));
    let shared = directory("home", 0, 0o1777);
    for (runtime, home) in [(&of_one, &shared), (&open, &shared), (&shared, &open)] {
        let server = Server::tokens(1200);
        let get = |user| as_user(user, place.path(), &server, runtime, home);
        let got = [get(one), get(other), get(one), get(other)];
        for outcome in &got {
            assert_eq!((outcome.failed, outcome.tokens.len()), (0, 1), "{outcome:?}");
        }
        let numbers = got.each_ref().map(|outcome| outcome.tokens.first().unwrap().as_str());
        assert_eq!(numbers, ["token-1", "token-2", "token-1", "token-2"], "{got:?}");
    }
    for directory in [&of_one, &open, &shared] {
        each_belongs_to_one_user(directory);
    }
}

/// Everything in a directory of the store has its owner, and no other user can read it.
fn each_belongs_to_one_user(place: &Path) {
    for found in std::fs::read_dir(place).unwrap().map(|found| found.unwrap().path()) {
        let of = std::fs::metadata(&found).unwrap();
        if found.file_name().is_some_and(|name| name == "tu-token") {
            assert_eq!(of.mode() & 0o7777, 0o700, "{}", found.display());
            for file in std::fs::read_dir(&found).unwrap().map(|file| file.unwrap()) {
                let file_of = file.metadata().unwrap();
                assert_eq!((file_of.uid(), file_of.mode() & 0o7777), (of.uid(), 0o600));
            }
        } else if of.is_dir() {
            each_belongs_to_one_user(&found);
        }
    }
}
