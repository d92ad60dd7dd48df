//! A process that is forked while another thread is inside a name look-up.

#[path = "support/getaddrinfo.rs"]
mod getaddrinfo;
mod support;

use std::time::{Duration, Instant};

use getaddrinfo::Host;
use support::tls::{Files, Identity, open_server};
use support::{Server, builder, until, value};
use tu_token::{Client, GetOptions};

const HANGS: Duration = Duration::from_secs(40);
const AT_ONCE: Duration = Duration::ZERO;

fn endpoint(name: &str) -> (Server, Files, Client) {
    let identity = Identity::self_signed(name);
    let server = Server::tls(open_server(&identity));
    let files = Files::new();
    let client = builder(&format!("https://{name}:{}/token/v2", server.port()))
        .set("ca_file", &files.write("ca.pem", &identity.cert.pem()))
        .set("connect_timeout", "500ms")
        .build()
        .unwrap();
    (server, files, client)
}

/// Forks; the child ends with what the function says, the parent returns it. Both within bounds.
fn fork(child: impl FnOnce() -> i32) -> i32 {
    let began = Instant::now();
    // SAFETY: the child calls this library, whose part that is, and the C library's allocator.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        // SAFETY: ends the process if it hangs, and without running what the parent has to run.
        unsafe {
            libc::alarm(60);
            libc::_exit(child());
        }
    }
    // A fork waits for a twentieth of a second at most; a busy machine may let this thread stand for more than that.
    assert!(began.elapsed() < HANGS / 4, "the fork took {:?}", began.elapsed());
    let mut status = 0;
    // SAFETY: the child is ours, and `status` outlives the call.
    unsafe { libc::waitpid(pid, &mut status, 0) };
    assert!(libc::WIFEXITED(status), "the child hung");
    libc::WEXITSTATUS(status)
}

/// One test: forks at the same time as others' look-ups would be another matter.
#[test]
fn a_child_of_a_process_inside_a_lookup() {
    let other = Host::new("locking-unknown.test", &[HANGS]);
    let known = Host::new("locking-known.test", &[AT_ONCE]);
    let (_server, _files, client) = endpoint("locking-known.test");
    let (_other_server, _other_files, other_client) = endpoint("locking-unknown.test");

    // A look-up that takes a moment is waited for.
    assert_eq!(value(client.token()), "token-1");
    known.now_takes(Duration::from_millis(1));
    let nobody = GetOptions { timeout: Some(Duration::ZERO), ..GetOptions::default() };
    client.invalidate(&client.token().unwrap());
    let _ = client.get(&nobody);
    assert_eq!(fork(|| i32::from(client.token().is_err())), 0);

    // One that hangs is not: the child has its parent's addresses of the host, at once ...
    until("a token", || client.token().is_ok());
    known.now_takes(HANGS);
    let before = known.asked();
    client.invalidate(&client.token().unwrap());
    let _ = client.get(&nobody);
    let _ = other_client.get(&nobody);
    until("two look-ups", || known.asked() > before && other.asked() > 0);
    let child = || {
        let began = Instant::now();
        let is_had = client.token().is_ok();
        i32::from(!is_had) + 2 * i32::from(began.elapsed() > Duration::from_secs(10))
    };
    assert_eq!(fork(child), 0);

    // ... or, if it never had any, an error that says why.
    let child = || {
        // What the parent's fetch has met so far is remembered, and says another cause.
        other_client.wake();
        let error = other_client.token().map(drop).unwrap_err();
        let says = |text: &str| error.message().contains(text);
        let names_it = says("the name look-up of locking-unknown.test did not end within");
        let names_cause = says("its parent was inside a name look-up");
        i32::from(!names_it) + 2 * i32::from(!names_cause)
    };
    assert_eq!(fork(child), 0);
    // A child of a child has them as well. (The parent's fetch has failed by now.)
    let child = || {
        client.wake();
        i32::from(client.token().is_err())
    };
    assert_eq!(fork(|| fork(child)), 0);
}
