//! Host names to addresses, on threads: the look-ups of the process, and what they found.
//!
//! `getaddrinfo` has no time limit and cannot be cancelled, so each has a thread of the pool to itself; who
//! shares which is decided in [`lookups`](super::lookups).
//!
//! **Forks.** In a process forked while another thread was inside `getaddrinfo`, locks of the C
//! library may be held for ever, and with them every look-up. A fork waits a moment for those under
//! way; a child whose parent did so in vain takes the addresses that the parent had last, at once,
//! while one look-up of its own finds out whether the way is free. A child that does not know
//! (another library may have been inside) does so when its first look-up does not end.

use std::fmt;
use std::net::IpAddr;
use std::net::ToSocketAddrs;
use std::sync::Arc;
use std::time::Duration;

use once_cell::race::OnceBox;

use super::lookups::{Lookups, Start};
use crate::cache::policy::HUNG;
use crate::clock::{BootTime, Clock, rounded};
use crate::process::{self, AnyProcess, InLibrary, Inherited, Kept, Locked, Mailbox, Process};
use crate::sync::global;
use crate::threads::{self, Job, Rank};

/// Most hosts whose addresses are kept; the token endpoint and a proxy are two.
const MOST_KEPT: usize = 64;

/// Why there are no addresses. A look-up that hangs says nothing about the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Problem {
    /// The system says no more than that the name could not be resolved.
    Unresolved,
    NoThread(String),
    Slow {
        host: String,
        longest: Duration,
        /// The process was forked in the middle of another look-up.
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
                        ": this process was forked while its parent was inside a name look-up, and \
                         a lock of the C library may be held here for ever; fork before the first \
                         token is fetched, or exec in the child",
                    )?;
                }
                Ok(())
            }
        }
    }
}

impl std::error::Error for Problem {}

type Found = Result<Vec<IpAddr>, Problem>;
type Who = Arc<Mailbox<Found>>;

/// How a name is looked up; blocks for as long as it likes.
type Ask = Box<dyn Fn(&str) -> Found + Send + Sync>;

/// The look-ups of the process.
pub(crate) struct Names {
    ask: Ask,
    here: Locked<Here>,
    last_found: Kept<AnyProcess<Vec<LastFound>>>,
}

#[derive(Default)]
struct Here {
    lookups: Lookups<Who>,
    /// In this process a look-up has come to an end: none hangs because of a fork.
    has_answered: bool,
}

impl Inherited for Here {
    type Remains = Lookups<Who>;

    fn adopt(&mut self) -> Self::Remains {
        self.has_answered = false;
        self.lookups.forked()
    }
}

/// A host's addresses, by the look-up that was begun last.
#[derive(Clone)]
struct LastFound {
    host: String,
    begun: BootTime,
    addresses: Vec<IpAddr>,
}

global! {
    static NAMES: OnceBox<Names> = OnceBox::new();
}

/// Those of this process, asked of the system.
pub(super) fn of_process() -> &'static Names {
    NAMES.get_or_init(|| Box::new(Names::new(Box::new(ask_system))))
}

/// The network is back: whoever waits for a look-up gets another one.
pub(crate) fn wake() {
    of_process().wake();
}

impl Names {
    fn new(ask: Ask) -> Self {
        let last_found = Kept::new(AnyProcess::default());
        Self { ask, here: Locked::empty(), last_found }
    }

    /// A host's addresses, after at most `longest`. Shares a look-up that is not older than
    /// `patience`.
    pub(super) fn look_up(
        &'static self,
        host: &str,
        patience: Duration,
        longest: Duration,
    ) -> Found {
        let was_forked = process::was_forked_in_library();
        if let Some(addresses) = was_forked.then(|| self.last_found_of(host)).flatten() {
            let start = self.here.lock().lookups.start_unless_fresh(host, now(), Duration::MAX);
            self.start(start);
            return Ok(addresses);
        }
        // One that the process was forked beside is joined by nobody.
        let patience = if was_forked { Duration::ZERO } else { patience };
        let mailbox = Who::default();
        let start = self.here.lock().lookups.ask(host, now(), patience, mailbox.clone());
        self.start(start);
        if let Some(found) = mailbox.take(&Clock::System, now().after(longest)) {
            return found;
        }
        let is_untried = {
            let mut here = self.here.lock();
            here.lookups.leave(|other| Arc::ptr_eq(other, &mailbox));
            !here.has_answered && Process::this().is_fork()
        };
        let last_found = self.last_found_of(host).filter(|_| is_untried);
        last_found.ok_or(Problem::Slow { host: host.to_owned(), longest, was_forked })
    }

    fn wake(&'static self) {
        let starts = self.here.lock().lookups.wake(now());
        self.start(starts);
    }

    fn start(&'static self, starts: impl IntoIterator<Item = Start>) {
        for start in starts {
            let id = start.id;
            let job = Job::or_refused(HUNG, move |there_is_a_thread| {
                if let Err(error) = there_is_a_thread {
                    return self.tell(id, Err(Problem::NoThread(error.to_string())), false);
                }
                let found = {
                    let _inside = InLibrary::enter();
                    (self.ask)(&start.host)
                };
                self.keep(&start, &found);
                process::is_out_of_library();
                self.tell(id, found, true);
            });
            // If it is refused, those who wait are told.
            let _ = threads::submit(&job, Rank::Resolve);
        }
    }

    fn tell(&self, id: u64, found: Found, has_answered: bool) {
        let told = {
            let mut here = self.here.lock();
            here.has_answered |= has_answered;
            here.lookups.ended(id, found.is_ok())
        };
        for mailbox in told {
            mailbox.put(found.clone());
        }
    }

    fn last_found_of(&self, host: &str) -> Option<Vec<IpAddr>> {
        let kept = self.last_found.lock();
        kept.iter().find(|one| one.host == host).map(|one| one.addresses.clone())
    }

    /// Keeps what was found, also if nobody waits for it any more.
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

fn ask_system(host: &str) -> Found {
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

    /// More than there may be fetches at a time.
    #[test]
    fn look_ups_that_hang_are_in_nobodys_way() {
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
