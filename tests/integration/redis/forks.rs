//! Children of a busy process, and its connections.
#![cfg(target_os = "linux")]

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::fd::FromRawFd as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use super::server::{Monitor, Redis, Reply};
use crate::crowd::this_program;
use crate::support::redis_server::{die_with_the_test, free_port};
use crate::support::{Server, builder, until};
use tu_token::Client;

const URL: &str = "TU_TEST_FORKS_URL";
const STORE: &str = "TU_TEST_FORKS_STORE";
const FORKS: usize = 12;
const THREADS: usize = 16;
/// Operations of a process at a time, each with a connection, and idle connections.
const MOST_CONNECTIONS: usize = 8 + 4;
/// After this an idle connection is closed, at the next check.
const IDLE: Duration = Duration::from_secs(10);

fn client(scope: &str) -> Client {
    let (url, store) = (std::env::var(URL).unwrap(), std::env::var(STORE).unwrap());
    builder(&url)
        .set("scope", scope)
        .set("store", &store)
        .set("fetch_timeout", "20s")
        .set("request_timeout", "20s")
        // The machine may be busy.
        .set("store_timeout", "20s")
        .build()
        .unwrap()
}

/// Gets tokens on several threads, each from a new client, so that each get is several operations on the
/// store. Returns whether all came.
fn get_many(rounds: usize, name: &str, stop: &AtomicBool) -> bool {
    let get = |thread: usize| {
        (0..rounds)
            .take_while(|_| !stop.load(Ordering::SeqCst))
            .all(|round| client(&format!("{name}-{thread}-{round}")).token().is_ok())
    };
    std::thread::scope(|scope| {
        let get = &get;
        let threads: Vec<_> = (0..THREADS).map(|thread| scope.spawn(move || get(thread))).collect();
        threads.into_iter().all(|thread| thread.join().unwrap())
    })
}

fn say(line: &str) {
    // SAFETY: descriptor 1 is open, and is not closed by this.
    let mut out = std::mem::ManuallyDrop::new(unsafe { std::fs::File::from_raw_fd(1) });
    out.write_all(format!("\n> {line}\n").as_bytes()).unwrap();
}

/// Forks while its threads get tokens. A child stops itself, and gets tokens once it is continued.
#[test]
#[ignore = "run by the test below, in a process of its own"]
fn a_busy_process_that_forks() {
    if std::env::var_os(URL).is_none() {
        return;
    }
    let stop = AtomicBool::new(false);
    // Connections are closed with the last client that uses them.
    let kept = client("kept");
    std::thread::scope(|scope| {
        let busy = scope.spawn(|| get_many(usize::MAX, "parent", &stop));
        let mut line = String::new();
        while std::io::stdin().read_line(&mut line).unwrap() > 0 && line != "end\n" {
            line.clear();
            // SAFETY: the child uses this library and the standard one, and ends without unwinding.
            let child = unsafe { libc::fork() };
            if child == 0 {
                // SAFETY: these take numbers. The child ends with its parent.
                unsafe {
                    libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                    libc::raise(libc::SIGSTOP);
                }
                let name = format!("child-{}", std::process::id());
                say(&format!("got {}", get_many(4, &name, &AtomicBool::new(false))));
                // SAFETY: ends the process without running what the parent has to run.
                unsafe { libc::_exit(0) };
            }
            say(&format!("child {child}"));
            // SAFETY: the child is this process's own.
            unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) };
        }
        stop.store(true, Ordering::SeqCst);
        say(&format!("got {}", busy.join().unwrap()));
    });
    // It lives on, and does nothing.
    std::io::stdin().read_line(&mut String::new()).unwrap();
    drop(kept);
}

struct Process {
    child: Child,
    lines: Receiver<String>,
}

impl Process {
    fn start(server: &Server, store: &str) -> Self {
        let mut command = this_program("redis::forks::a_busy_process_that_forks");
        command.env(URL, server.url()).env(STORE, store);
        // In a group of their own: at the end of a process that has stopped ones in its group, the system may send
        // SIGHUP to all of the group.
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0);
        let mut child = die_with_the_test(&mut command).spawn().unwrap();
        let (sender, lines) = channel();
        let out = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                if let Some(said) = line.strip_prefix("> ") {
                    let _ = sender.send(said.to_owned());
                }
            }
        });
        Self { child, lines }
    }

    fn tell(&self, line: &str) {
        self.child.stdin.as_ref().unwrap().write_all(line.as_bytes()).unwrap();
    }

    fn next(&self) -> String {
        self.lines.recv_timeout(Duration::from_secs(60)).expect("it says nothing")
    }

    fn signal(&self, signal: libc::c_int) {
        kill(self.child.id() as libc::pid_t, signal);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn kill(process: libc::pid_t, signal: libc::c_int) {
    // SAFETY: sends a signal to a process of this test, which was not reaped.
    assert_eq!(unsafe { libc::kill(process, signal) }, 0);
}

/// The addresses that commands came from, in some lines of a monitor: `... [0 127.0.0.1:1234] "GET" ...`.
fn addresses(lines: &[String]) -> BTreeSet<String> {
    let address = |line: &String| {
        let inside = line.split_once('[')?.1.split_once(']')?.0;
        Some(inside.split_once(' ')?.1.to_owned())
    };
    // Not this test's own, nor those of a script.
    lines.iter().filter_map(address).filter(|address| address.starts_with("127.0.0.1:")).collect()
}

/// The addresses of the open connections over TCP: those of the process and its children.
fn connections(redis: &Redis) -> BTreeSet<String> {
    let Reply::Bytes(list) = redis.tell("CLIENT LIST") else { panic!("no list") };
    let list = String::from_utf8(list).unwrap();
    let address =
        |line: &str| line.split(' ').find_map(|word| word.strip_prefix("addr=")).map(str::to_owned);
    list.lines().filter_map(address).filter(|address| address.starts_with("127.0.0.1:")).collect()
}

/// The addresses that a process's own sockets have.
fn sockets(process: u32) -> BTreeSet<String> {
    let open = std::fs::read_dir(format!("/proc/{process}/fd")).unwrap();
    let links = open.filter_map(|file| std::fs::read_link(file.unwrap().path()).ok());
    let sockets: BTreeSet<String> = links
        .filter_map(|link| {
            Some(link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned())
        })
        .collect();
    let table = std::fs::read_to_string(format!("/proc/{process}/net/tcp")).unwrap();
    let address = |line: &str| {
        // Its second column is the own address in hexadecimal digits, its tenth the socket's number.
        let columns: Vec<&str> = line.split_whitespace().collect();
        let (_, port) = columns[1].split_once(':')?;
        let port = u16::from_str_radix(port, 16).ok()?;
        sockets.contains(columns[9]).then(|| format!("127.0.0.1:{port}"))
    };
    table.lines().skip(1).filter_map(address).collect()
}

/// Waits until the server has received nothing for a while. Returns the number of lines.
fn silence(monitor: &Monitor) -> usize {
    let (mut before, mut since) = (monitor.lines().len(), Instant::now());
    while since.elapsed() < Duration::from_millis(500) {
        std::thread::sleep(Duration::from_millis(20));
        let now = monitor.lines().len();
        if now != before {
            (before, since) = (now, Instant::now());
        }
    }
    before
}

#[test]
#[ignore = "takes half a minute"]
fn children_of_a_busy_process_use_connections_of_their_own() {
    let directory = tempfile::tempdir().unwrap();
    let port = free_port();
    let Some(redis) = Redis::start(directory.path(), &["--port", &port.to_string()]) else {
        return;
    };
    let monitor = redis.monitor(None);
    let server = Server::tokens(1200);
    let parent = Process::start(&server, &format!("redis://127.0.0.1:{port}"));
    let (mut most, mut used) = (0, Vec::new());
    for fork in 0..FORKS {
        // Not in step with anything.
        std::thread::sleep(Duration::from_millis(50 + 17 * fork as u64));
        most = most.max(connections(&redis).len());
        parent.tell("fork\n");
        let said = parent.next();
        let child =
            said.strip_prefix("child ").unwrap_or_else(|| panic!("{said}")).parse().unwrap();
        // From here on only the child can send anything, and the parent's connections stay open.
        parent.signal(libc::SIGSTOP);
        let begun = silence(&monitor);
        // With those that it closed since the fork, of which the child has copies.
        let inherited = connections(&redis);
        let kept: BTreeSet<_> =
            sockets(parent.child.id()).intersection(&inherited).cloned().collect();
        kill(child, libc::SIGCONT);
        assert_eq!(parent.next(), "got true");
        let end = silence(&monitor);
        let of_child = addresses(&monitor.lines()[begun..end]);
        let now = connections(&redis);
        assert!(kept.is_subset(&now), "the child closed connections: {kept:?} {now:?}");
        assert!(!of_child.is_empty() && now.len() <= 2 * MOST_CONNECTIONS, "{now:?}");
        assert!(of_child.is_disjoint(&inherited), "the child used {inherited:?}: {of_child:?}");
        used.push((kept.len(), of_child.len()));
        parent.signal(libc::SIGCONT);
    }
    parent.tell("end\n");
    assert_eq!(parent.next(), "got true", "the parent's connections still work");
    let ended = Instant::now();
    eprintln!("at most {most} connections; of parent and child: {used:?}");
    assert!((1..=MOST_CONNECTIONS).contains(&most), "{most}");
    assert!(used.iter().any(|(kept, _)| *kept > 0), "{used:?}");
    until("idle connections are closed", || connections(&redis).is_empty());
    let took = ended.elapsed();
    eprintln!("closed after {took:?}");
    assert!(took > IDLE / 2, "{took:?}");
}
