//! Logins to proxies, counted for the whole process: what one client has learned, no other finds
//! out by a login of its own. `cache::logins` makes the decisions.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use once_cell::race::OnceBox;
use ureq::ProxyProtocol::{Socks4, Socks4A};

use crate::cache::logins::{Admission, LoginId, Logins, RefusedLogin};
use crate::cache::policy::OVERRUN;
use crate::clock::Clock;
use crate::process::{Inherited, Kept, KeptGuard, Mailbox};

/// Maximum number of proxies remembered; a program that uses more generates their URLs.
const MOST_PROXIES: usize = 1000;

#[derive(Clone, Default)]
struct Known {
    logins: Logins,
    waiting: Vec<Arc<Mailbox<()>>>,
}

#[derive(Clone, Default)]
struct Proxies {
    /// Each with a keyed hash of its URL, the key known to this process only. Few, usually one.
    known: Vec<(u64, Known)>,
}

/// Kept in every fork: a child that had forgotten a refusal would log in again.
fn proxies() -> KeptGuard<'static, Proxies> {
    static PROXIES: OnceBox<Kept<Proxies>> = OnceBox::new();
    PROXIES.get_or_init(|| Box::new(Kept::new(Proxies::default()))).lock()
}

/// A child knows what was refused; logins in progress and their waiters are the parent's.
impl Inherited for Proxies {
    type Remains = Vec<Arc<Mailbox<()>>>;

    fn adopt(&mut self) -> Self::Remains {
        let mut waiting = Vec::new();
        for (_, known) in &mut self.known {
            known.logins.forked();
            waiting.append(&mut known.waiting);
        }
        waiting
    }
}

impl Proxies {
    fn get(&mut self, key: u64) -> &mut Known {
        let place = self.known.iter().position(|(other, _)| *other == key);
        let place = place.unwrap_or_else(|| {
            self.make_room();
            self.known.push((key, Known::default()));
            self.known.len() - 1
        });
        &mut self.known[place].1
    }

    fn make_room(&mut self) {
        if self.known.len() >= MOST_PROXIES {
            let forgettable = self.known.iter().position(|(_, one)| one.logins.is_forgettable());
            self.known.swap_remove(forgettable.unwrap_or_default());
        }
    }
}

/// One client's user and password for one proxy.
#[derive(Clone, Debug)]
pub(super) struct Account {
    key: u64,
    clock: Clock,
}

/// Why no login may be made now.
pub(super) enum NotNow {
    Refused(RefusedLogin),
    /// Another login had no outcome within the available time.
    Busy,
}

impl Account {
    /// `None` if the proxy's URL has neither user nor password.
    pub(super) fn of(proxy: &ureq::Proxy, clock: &Clock) -> Option<Self> {
        static KEY: OnceBox<RandomState> = OnceBox::new();
        let (user, password) = credentials(proxy)?;
        let place = (proxy.protocol(), proxy.host().to_ascii_lowercase(), proxy.port());
        let key = KEY.get_or_init(Box::default).hash_one((place, user, password));
        Some(Self { key, clock: clock.clone() })
    }

    /// Waits, at most `timeout`, until it is this login's turn. Also returns the remaining time.
    pub(super) fn admit(&self, timeout: Duration) -> Result<(Login, Duration), NotNow> {
        let deadline = self.clock.now().after(timeout);
        loop {
            let now = self.clock.now();
            let left = deadline.until(now);
            if left.is_zero() {
                return Err(NotNow::Busy);
            }
            let turn = Arc::new(Mailbox::default());
            let wait_until = {
                let mut proxies = proxies();
                let known = proxies.get(self.key);
                match known.logins.ask(left + OVERRUN, now) {
                    Admission::Go(id) => return Ok((Login { account: self.clone(), id }, left)),
                    Admission::Refused(refused) => return Err(NotNow::Refused(refused)),
                    Admission::Wait(until) => {
                        known.waiting.push(turn.clone());
                        until
                    }
                }
            };
            turn.take(&self.clock, wait_until.min(deadline));
        }
    }

    /// The refusal that currently blocks all logins.
    pub(super) fn refusal(&self) -> Option<RefusedLogin> {
        let now = self.clock.now();
        proxies().get(self.key).logins.refusal(now)
    }

    /// The network is back.
    pub(super) fn wake(&self) {
        let now = self.clock.now();
        proxies().get(self.key).logins.wake(now);
    }

    /// Updates what is known, and wakes the waiters to check it.
    fn change(&self, change: impl FnOnce(&mut Logins)) {
        let waiting = {
            let mut proxies = proxies();
            let known = proxies.get(self.key);
            change(&mut known.logins);
            std::mem::take(&mut known.waiting)
        };
        for turn in waiting {
            turn.put(());
        }
    }
}

/// One login, from when it is admitted. Dropped without an outcome, it lets the next one proceed.
#[derive(Debug)]
pub(super) struct Login {
    account: Account,
    id: LoginId,
}

impl Login {
    /// User and password are about to be sent.
    pub(super) fn sends(&self) {
        let now = self.account.clock.now();
        proxies().get(self.account.key).logins.sends(self.id, now);
    }

    pub(super) fn accepted(&self) {
        self.account.change(|logins| logins.accepted(self.id));
    }

    pub(super) fn refused(&self, said: &str) {
        let (now, said) = (self.account.clock.now(), said.into());
        self.account.change(|logins| logins.refused(self.id, said, now));
    }

    /// The proxy failed otherwise than by refusing the login.
    pub(super) fn passed_over(&self) {
        self.account.change(|logins| logins.passed_over(self.id));
    }
}

impl Drop for Login {
    fn drop(&mut self) {
        let now = self.account.clock.now();
        self.account.change(|logins| logins.ended(self.id, now));
    }
}

/// User and password of a proxy's URL, decoded, if it has any.
pub(super) fn credentials(proxy: &ureq::Proxy) -> Option<(&str, &str)> {
    if matches!(proxy.protocol(), Socks4 | Socks4A) {
        // It has no login by password.
        return None;
    }
    let user = proxy.username().unwrap_or_default();
    let password = proxy.password().unwrap_or_default();
    (!user.is_empty() || !password.is_empty()).then_some((user, password))
}

#[cfg(all(test, not(feature = "__shuttle")))]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    const LIMIT: Duration = Duration::from_secs(10);

    fn account(url: &str) -> (Account, Arc<ManualClock>) {
        let turned = Arc::new(ManualClock::default());
        let proxy = ureq::Proxy::new(url).unwrap();
        (Account::of(&proxy, &Clock::Manual(turned.clone())).unwrap(), turned)
    }

    #[test]
    fn an_account_is_identified_by_the_whole_url() {
        let key = |url: &str| account(url).0.key;
        assert_eq!(key("http://u:p@proxy:80"), key("http://u:p@PROXY/"));
        assert_eq!(key("http://u:%70@proxy"), key("http://u:p@proxy"));
        let urls =
            ["http://u:p@a", "http://v:p@a", "http://u:q@a", "http://u:p@b", "https://u:p@a"];
        for (index, url) in urls.iter().enumerate() {
            assert!(urls[..index].iter().all(|other| key(other) != key(url)), "{url}");
        }
        for url in ["http://proxy", "http://@proxy", "http://:@proxy", "socks4://u:p@proxy"] {
            assert!(Account::of(&ureq::Proxy::new(url).unwrap(), &Clock::System).is_none());
        }
    }

    #[test]
    fn waiters_receive_the_outcome() {
        let (account, _) = account("http://u:p@those-who-wait");
        let Ok((login, left)) = account.admit(LIMIT) else { panic!("nobody else logs in") };
        assert_eq!(left, LIMIT);
        std::thread::scope(|scope| {
            let others: Vec<_> = (0..3).map(|_| scope.spawn(|| account.admit(LIMIT))).collect();
            while proxies().get(account.key).waiting.len() < 3 {
                std::thread::yield_now();
            }
            login.sends();
            login.refused("no");
            for other in others {
                let outcome = other.join().unwrap();
                assert!(matches!(outcome, Err(NotNow::Refused(refused)) if &*refused.said == "no"));
            }
        });
    }

    #[test]
    fn a_waiter_keeps_its_own_time_limit() {
        let (account, clock) = account("http://u:p@whoever-waits");
        let Ok((login, _)) = account.admit(LIMIT) else { panic!("nobody else logs in") };
        std::thread::scope(|scope| {
            let other = scope.spawn(|| account.admit(LIMIT / 2));
            while proxies().get(account.key).waiting.is_empty() {
                std::thread::yield_now();
            }
            clock.advance(LIMIT / 2);
            assert!(matches!(other.join().unwrap(), Err(NotNow::Busy)));
        });
        // Dropped without an outcome, a login lets the next one proceed at once.
        drop(login);
        assert!(account.admit(LIMIT).is_ok());
    }

    #[test]
    fn the_memory_is_bounded_and_keeps_refusals() {
        let (refused, _) = account("http://u:p@the-memory");
        let Ok((login, _)) = refused.admit(LIMIT) else { panic!("nobody else logs in") };
        login.refused("no");
        for number in 0..2 * MOST_PROXIES {
            let (other, _) = account(&format!("http://u:p@the-memory-{number}"));
            assert!(other.refusal().is_none());
        }
        assert!(proxies().known.len() <= MOST_PROXIES);
        assert!(refused.refusal().is_some());
    }
}
