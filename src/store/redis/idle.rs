//! Connections that nothing uses at the moment, of the whole process.
//!
//! Store operations run on at most eight threads, each with one connection. When it is done, the
//! connection stays open for the next operation of the same fetch, and is closed soon after. They
//! belong to one process: a forked child closes its copies, which says nothing to the server.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Server;
use super::link::Link;
use crate::clock::Clock;
use crate::process::{Locked, OneProcess};
use crate::sync::global;
use crate::threads;

/// Maximum number of idle connections in the process.
const MOST: usize = 4;
/// How long a connection stays open without use: longer than a fetch takes, much shorter than a
/// token's lifetime.
const LONGEST: Duration = Duration::from_secs(10);

struct Idle {
    server: u64,
    link: Link,
    since: Instant,
}

global! {
    static IDLE: Locked<OneProcess<Vec<Idle>>> = Locked::empty();
}

/// Takes the connection to this server that was used last.
pub(super) fn take(server: &Server) -> Option<Link> {
    let mut idle = IDLE.lock();
    let at = idle.iter().rposition(|one| one.server == server.number)?;
    Some(idle.remove(at).link)
}

/// Keeps a connection for a while.
pub(super) fn keep(server: &Arc<Server>, link: Link) {
    let one = Idle { server: server.number, link, since: Instant::now() };
    let (was_first, closed);
    {
        let mut idle = IDLE.lock();
        was_first = idle.iter().all(|other| other.server != server.number);
        idle.push(one);
        closed = (idle.len() > MOST).then(|| idle.remove(0));
    }
    drop(closed);
    if was_first {
        watch(server, LONGEST);
    }
}

/// Closes the connections of a server that no client uses any more.
pub(super) fn close(server: u64) {
    drop(take_all(|one| one.server == server));
}

/// A server has one alarm at most: each operation takes its connection and keeps it again.
fn watch(server: &Arc<Server>, longest: Duration) {
    const NUMBER: u64 = 0;
    let at = Clock::System.now().after(longest);
    threads::alarm(at, Arc::downgrade(server), NUMBER, 0, |server| {
        let number = server.number;
        let is_old = |one: &Idle| one.server == number && one.since.elapsed() >= LONGEST;
        drop(take_all(is_old));
        let oldest = {
            let idle = IDLE.lock();
            let its = idle.iter().filter(|one| one.server == number);
            its.map(|one| one.since.elapsed()).max()
        };
        if let Some(oldest) = oldest {
            watch(&server, LONGEST.saturating_sub(oldest));
        }
    });
}

fn take_all(is_such: impl Fn(&Idle) -> bool) -> Vec<Idle> {
    let mut idle = IDLE.lock();
    let (taken, left) = std::mem::take(&mut **idle).into_iter().partition(|one| is_such(one));
    **idle = left;
    taken
}

#[cfg(all(test, not(feature = "__shuttle")))]
pub(super) fn count(server: &Server) -> usize {
    IDLE.lock().iter().filter(|one| one.server == server.number).count()
}
