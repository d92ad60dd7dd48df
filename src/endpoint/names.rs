//! Host names to addresses, on threads: the look-ups of the process, and what they found.
//!
//! `getaddrinfo` has no timeout and cannot be cancelled, so each call has a pool thread to itself;
//! [`lookups`](super::lookups) decides who shares which.
//!
//! **Forks.** In a process forked while another thread was inside `getaddrinfo`, locks of the C
//! library may be held forever, and then every look-up hangs. A fork briefly waits for the look-ups
//! in progress. A child whose parent waited in vain uses the parent's last known addresses at once,
//! while one look-up of its own finds out whether look-ups work. A child that does not know
//! (another library may have been inside) falls back to them when its first look-up does not
//! finish.

use std::fmt;
use std::net::IpAddr;
use std::net::ToSocketAddrs;
use std::sync::Arc;
use std::time::Duration;

use once_cell::race::OnceBox;

use super::lookups::{Lookups, Start};
use crate::cache::policy::HUNG;
use crate::clock::{BootTime, Clock, rounded};
use crate::process::{self, AnyProcess, InCLibrary, Inherited, Kept, Locked, Mailbox, Process};
use crate::sync::global;
use crate::threads::{self, Job, Rank};
use crate::words;

/// Maximum number of hosts whose addresses are kept; the token endpoint and a proxy make two.
const MOST_KEPT: usize = 64;

/// Why there are no addresses. A look-up that hangs says nothing about the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Problem {
    /// The system says only that the name could not be resolved.
    Unresolved,
    NoThread(String),
    Slow {
        host: String,
        longest: Duration,
        /// The process was forked during another look-up.
        was_forked: bool,
    },
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unresolved => f.write_str("the host name cannot be resolved"),
            Self::NoThread(error) => {
                write!(f, "no thread can be started for the name look-up: {error}")
            }
            Self::Slow { host, longest, was_forked } => {
                let longest = rounded(*longest);
                write!(f, "the name look-up of {host} did not end within {longest:?}")?;
                if *was_forked {
                    f.write_str(
                        ": this process was forked while its parent was inside a name look-up, so \
                         a lock of the C library may stay held here \
                         forever; fork before the first token \
                         is fetched, or exec in the child",
                    )?;
                }
                Ok(())
            }
        }
    }
}

impl std::error::Error for Problem {}

type Found = Result<Vec<IpAddr>, Problem>;
type Waiter = Arc<Mailbox<Found>>;

/// Looks a name up; may block for any time.
type Resolve = Box<dyn Fn(&str) -> Found + Send + Sync>;

/// The look-ups of the process.
pub(crate) struct Names {
    resolve: Resolve,
    state: Locked<State>,
    last_found: Kept<AnyProcess<Vec<LastFound>>>,
}

#[derive(Default)]
struct State {
    lookups: Lookups<Waiter>,
    /// A look-up has finished in this process: none hangs because of a fork.
    has_answered: bool,
}

impl Inherited for State {
    type Remains = Lookups<Waiter>;

    fn adopt(&mut self) -> Self::Remains {
        self.has_answered = false;
        self.lookups.forked()
    }
}

/// A host's addresses from the look-up that began last.
#[derive(Clone)]
struct LastFound {
    host: String,
    begun: BootTime,
    addresses: Vec<IpAddr>,
}

global! {
    static NAMES: OnceBox<Names> = OnceBox::new();
}

/// The look-ups of this process, by the system's resolver.
pub(super) fn of_process() -> &'static Names {
    NAMES.get_or_init(|| Box::new(Names::new(Box::new(resolve_by_system))))
}

/// The network is back: those who wait for a look-up get another one.
pub(crate) fn wake() {
    of_process().wake();
}

impl Names {
    fn new(resolve: Resolve) -> Self {
        let last_found = Kept::new(AnyProcess::default());
        Self { resolve, state: Locked::empty(), last_found }
    }

    /// Looks a host's addresses up, for at most `longest`. Shares a look-up that is not older than
    /// `patience`.
    pub(super) fn look_up(
        &'static self,
        host: &str,
        patience: Duration,
        longest: Duration,
    ) -> Found {
        let was_forked = process::was_forked_in_c_library();
        if let Some(addresses) = was_forked.then(|| self.last_found_of(host)).flatten() {
            let start = self.state.lock().lookups.start_unless_fresh(host, now(), Duration::MAX);
            self.start(start);
            return Ok(addresses);
        }
        // A look-up that may hang because of the fork is not joined.
        let patience = if was_forked { Duration::ZERO } else { patience };
        let mailbox = Waiter::default();
        let start = self.state.lock().lookups.join(host, now(), patience, mailbox.clone());
        self.start(start);
        if let Some(found) = mailbox.take(&Clock::System, now().after(longest)) {
            return found;
        }
        let is_untried = {
            let mut state = self.state.lock();
            state.lookups.leave(|other| Arc::ptr_eq(other, &mailbox));
            !state.has_answered && Process::this().is_fork()
        };
        let last_found = self.last_found_of(host).filter(|_| is_untried);
        last_found.ok_or(Problem::Slow { host: host.to_owned(), longest, was_forked })
    }

    fn wake(&'static self) {
        let starts = self.state.lock().lookups.wake(now());
        self.start(starts);
    }

    fn start(&'static self, starts: impl IntoIterator<Item = Start>) {
        for start in starts {
            let id = start.id;
            let job = Job::or_refused(HUNG, move |there_is_a_thread| {
                if let Err(error) = there_is_a_thread {
                    return self.notify(id, Err(Problem::NoThread(words::of(error))), false);
                }
                let found = {
                    let _inside = InCLibrary::enter();
                    (self.resolve)(&start.host)
                };
                self.keep(&start, &found);
                process::left_c_library();
                self.notify(id, found, true);
            });
            // If it is refused, the waiters are notified.
            let _ = threads::submit(&job, Rank::Resolve);
        }
    }

    fn notify(&self, id: u64, found: Found, has_answered: bool) {
        let waiters = {
            let mut state = self.state.lock();
            state.has_answered |= has_answered;
            state.lookups.ended(id, found.is_ok())
        };
        for mailbox in waiters {
            mailbox.put(found.clone());
        }
    }

    fn last_found_of(&self, host: &str) -> Option<Vec<IpAddr>> {
        let kept = self.last_found.lock();
        kept.iter().find(|one| one.host == host).map(|one| one.addresses.clone())
    }

    /// Keeps what was found, even without a waiter.
    fn keep(&self, start: &Start, found: &Found) {
        let Ok(addresses) = found else { return };
        let mut kept = self.last_found.lock();
        if kept.iter().any(|one| one.host == start.host && one.begun > start.at) {
            return;
        }
        kept.retain(|one| one.host != start.host);
        if kept.len() >= MOST_KEPT {
            kept.remove(0);
        }
        let (host, begun, addresses) = (start.host.clone(), start.at, addresses.clone());
        kept.push(LastFound { host, begun, addresses });
    }
}

fn now() -> BootTime {
    Clock::System.now()
}

fn resolve_by_system(host: &str) -> Found {
    let addresses = (host, 0).to_socket_addrs().map_err(|_| Problem::Unresolved)?;
    let mut distinct = Vec::new();
    for address in addresses {
        if !distinct.contains(&address.ip()) {
            distinct.push(address.ip());
        }
    }
    Ok(distinct)
}

#[cfg(all(test, not(feature = "__shuttle")))]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const LONG: Duration = Duration::from_secs(30);

    /// More than the limit on concurrent fetches.
    #[test]
    fn look_ups_that_hang_do_not_block_others() {
        let end = Arc::new(Mailbox::<()>::default());
        let hangs = end.clone();
        let names: &Names = Box::leak(Box::new(Names::new(Box::new(move |host| {
            if host.starts_with("hangs") {
                while hangs.is_empty() {
                    std::thread::sleep(Duration::from_millis(10));
                }
            }
            assert_eq!(std::thread::current().name(), Some("tu-token"));
            Ok(vec![Ipv4Addr::LOCALHOST.into()])
        }))));
        for number in 0..70 {
            let host = format!("hangs{number}");
            let found = names.look_up(&host, LONG, Duration::ZERO);
            assert!(matches!(found, Err(Problem::Slow { .. })), "{found:?}");
        }
        let done = Arc::new(Mailbox::default());
        let told = done.clone();
        let fetch = Job::new(LONG, move || {
            told.put(names.look_up("answers", LONG, LONG));
        });
        threads::submit(&fetch, Rank::Awaited).unwrap();
        let found = done.take(&Clock::System, now().after(LONG));
        assert_eq!(found, Some(Ok(vec![Ipv4Addr::LOCALHOST.into()])));
        end.put(());
    }
}
