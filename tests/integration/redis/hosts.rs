//! Machines with a network of their own: the servers' and those that processes run on.
//!
//! The test starts itself again where it may make networks: in a user namespace if it is not root, and in
//! namespaces of networks and processes. Those end with the test, and everything that runs in them. Each
//! host is a thread with another network namespace, an interface and an address. Where the system does
//! not allow this, everything runs on the loopback interface, and the test says so.

use std::io::Write as _;
use std::process::Command;
use std::sync::mpsc;

use crate::crowd::this_program;
use crate::support::lossy;
use crate::support::redis_server::die_with_the_test;

/// Set in a network of its own.
const OWN: &str = "TU_TEST_OWN_NETWORK";
/// The test that runs in it.
const TEST: &str = "TU_TEST_ON_HOSTS";
const NAMESPACES: [&str; 5] = ["--net", "--pid", "--fork", "--kill-child", "--"];
/// Makes what [`on_hosts`] makes.
const PROBE: &str = "ip link set lo up && ip link add name near0 type veth peer name far0 && \
                     ip addr add 10.77.0.1/24 dev near0 && ip link set near0 up";

/// Runs an ignored test of this program with a network of its own, where that is possible.
pub fn in_own_network(test: &str, variables: &[(&str, &str)]) {
    let unshare = |user: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(user).args(NAMESPACES);
        command
    };
    let works = |user: &&&[&str]| {
        let done = unshare(user).args(["sh", "-c", PROBE]).output();
        done.is_ok_and(|done| done.status.success())
    };
    let itself = this_program(test);
    let ways: [&[&str]; 2] = [&[], &["--user", "--map-root-user"]];
    let (mut command, how) = match ways.iter().find(works) {
        Some(user) => {
            let mut command = unshare(user);
            command.arg(itself.get_program()).args(itself.get_args()).env(OWN, "yes");
            (command, "on hosts with networks of their own")
        }
        None => (itself, "on one host: network namespaces cannot be made here"),
    };
    // Not by a macro: those show nothing of a test that passes.
    let _ = writeln!(std::io::stderr(), "{test}: {how}");
    command.env(TEST, test).envs(variables.iter().copied());
    let done = die_with_the_test(&mut command).output().unwrap();
    println!("{}", lossy(&done.stdout));
    eprintln!("{}", lossy(&done.stderr));
    assert!(done.status.success(), "{test}, {how}: {}", done.status);
    let report = lossy(&done.stdout);
    for line in report.lines().filter(|line| line.starts_with("report: ")) {
        let _ = writeln!(std::io::stderr(), "{test}: {}", line.trim_start_matches("report: "));
    }
}

/// Whether this is the process that [`in_own_network`] starts.
pub fn is_started_for(test: &str) -> bool {
    std::env::var(TEST).is_ok_and(|name| name == test)
}

/// The address of the servers. The first call makes it.
pub fn servers_address() -> &'static str {
    if std::env::var_os(OWN).is_none() {
        return "127.0.0.1";
    }
    ip("link set lo up");
    ip("addr add 10.77.0.1/32 dev lo");
    "10.77.0.1"
}

/// Runs `work` on each of `count` hosts, numbered from 1, at the same time. Processes that it starts run on
/// that host.
pub fn on_hosts<T: Send>(count: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let work = &work;
    std::thread::scope(|scope| {
        let hosts: Vec<_> = (1..=count)
            .map(|number| {
                let (tell, told) = mpsc::channel();
                let (connect, connected) = mpsc::channel();
                let host = scope.spawn(move || {
                    tell.send(leave_network()).unwrap();
                    connected.recv().unwrap();
                    arrive_on(number);
                    work(number)
                });
                if let Some(thread) = told.recv().unwrap() {
                    ip(&format!("link add name near{number} type veth peer name far{number}"));
                    ip(&format!("addr add 10.77.{number}.1/24 dev near{number}"));
                    ip(&format!("link set near{number} up"));
                    ip(&format!("link set far{number} netns {thread}"));
                }
                connect.send(()).unwrap();
                host
            })
            .collect();
        hosts.into_iter().map(|host| host.join().unwrap()).collect()
    })
}

/// Gives this thread an empty network. Returns the thread's number, or `None`: everything is on one host.
fn leave_network() -> Option<libc::c_long> {
    std::env::var_os(OWN)?;
    #[cfg(target_os = "linux")]
    {
        // SAFETY: changes this thread's network alone, and takes a number.
        assert_eq!(unsafe { libc::unshare(libc::CLONE_NEWNET) }, 0);
        // SAFETY: takes nothing.
        Some(unsafe { libc::syscall(libc::SYS_gettid) })
    }
    #[cfg(not(target_os = "linux"))]
    None
}

fn arrive_on(number: usize) {
    if std::env::var_os(OWN).is_none() {
        return;
    }
    ip("link set lo up");
    ip(&format!("addr add 10.77.{number}.2/24 dev far{number}"));
    ip(&format!("link set far{number} up"));
    ip(&format!("route add default via 10.77.{number}.1"));
}

/// Runs iproute2's command in this thread's network.
fn ip(words: &str) {
    let done = Command::new("ip").args(words.split(' ')).output().unwrap();
    assert!(done.status.success(), "ip {words}: {}", lossy(&done.stderr));
}
