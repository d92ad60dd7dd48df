//! Logins to one proxy by all clients of the process: who may log in, and who must not because a
//! login was refused. Each login counts: directories lock an account after three to five failures.

use std::sync::Arc;
use std::time::Duration;

use super::policy::{LOGIN_PROBE_SPACING, REFUSED_LOGIN_PAUSE};
use crate::clock::BootTime;

/// Identifies one login to one proxy.
pub(crate) type LoginId = u64;

/// A login that the proxy refused. No client logs in before `until`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RefusedLogin {
    pub(crate) until: BootTime,
    /// The proxy's refusal, for a message.
    pub(crate) said: Arc<str>,
}

/// The reply to a request to log in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    Go(LoginId),
    /// The outcome of another login is pending; ask again at that time at the latest.
    Wait(BootTime),
    Refused(RefusedLogin),
}

#[derive(Clone, Debug, Default)]
enum Standing {
    /// No login has been accepted yet, so the next may be refused: one at a time.
    #[default]
    Unknown,
    Accepted,
    Refused(RefusedLogin),
}

/// The one login whose outcome the others wait for.
#[derive(Clone, Copy, Debug)]
struct Trial {
    id: LoginId,
    /// User and password have been sent.
    sent: bool,
    /// When the others stop waiting for it.
    ends_at: BootTime,
}

/// What is known about logins to one proxy.
#[derive(Clone, Debug, Default)]
pub(crate) struct Logins {
    standing: Standing,
    trial: Option<Trial>,
    /// The last login made despite a refusal.
    probed_at: Option<BootTime>,
    last_id: LoginId,
}

impl Logins {
    /// Asks to log in; the login will take at most `timeout`.
    pub(crate) fn ask(&mut self, timeout: Duration, now: BootTime) -> Admission {
        self.give_up_trial(now);
        match &self.standing {
            Standing::Accepted => return Admission::Go(self.next_id()),
            Standing::Refused(refused) if now < refused.until => {
                return Admission::Refused(refused.clone());
            }
            _ => {}
        }
        if let Some(trial) = &self.trial {
            return Admission::Wait(trial.ends_at);
        }
        let id = self.next_id();
        self.trial = Some(Trial { id, sent: false, ends_at: now.after(timeout) });
        Admission::Go(id)
    }

    /// User and password are about to be sent.
    pub(crate) fn sends(&mut self, id: LoginId, now: BootTime) {
        if let Some(trial) = self.trial.as_mut().filter(|trial| trial.id == id) {
            trial.sent = true;
            if matches!(self.standing, Standing::Refused(_)) {
                self.probed_at = Some(now);
            }
        }
    }

    /// The proxy accepted user and password.
    pub(crate) fn accepted(&mut self, id: LoginId) {
        self.standing = Standing::Accepted;
        self.probed_at = None;
        self.end_trial(id);
    }

    /// The proxy refused user and password.
    pub(crate) fn refused(&mut self, id: LoginId, said: Arc<str>, now: BootTime) {
        self.end_trial(id);
        let until = now.after(REFUSED_LOGIN_PAUSE);
        self.standing = Standing::Refused(RefusedLogin { until, said });
    }

    /// The proxy failed in another way: it did not refuse the login, but may not have checked it.
    pub(crate) fn passed_over(&mut self, id: LoginId) {
        if self.end_trial(id).is_some() {
            self.standing = Standing::Unknown;
        }
    }

    /// The attempt is over. Without an outcome it proves nothing; but the directory may have
    /// counted a probe that was sent.
    pub(crate) fn ended(&mut self, id: LoginId, now: BootTime) {
        if let Some(trial) = self.end_trial(id) {
            self.ended_without_outcome(trial, now);
        }
    }

    /// The network is back: allows one probe, at most one in ten minutes.
    pub(crate) fn wake(&mut self, now: BootTime) {
        if let Standing::Refused(refused) = &mut self.standing {
            let earliest = self.probed_at.map_or(now, |at| at.after(LOGIN_PROBE_SPACING).max(now));
            refused.until = refused.until.min(earliest);
        }
    }

    /// The refusal that currently prevents logins. The probe itself is exempt.
    pub(crate) fn refusal(&self, now: BootTime) -> Option<RefusedLogin> {
        let Standing::Refused(refused) = &self.standing else { return None };
        let trial = self.trial.filter(|trial| now < trial.ends_at);
        let until = trial.map_or(refused.until, |trial| trial.ends_at.max(refused.until));
        (now < until).then(|| RefusedLogin { until, said: refused.said.clone() })
    }

    /// Whether forgetting this loses nothing.
    pub(crate) fn is_forgettable(&self) -> bool {
        self.trial.is_none() && !matches!(self.standing, Standing::Refused(_))
    }

    /// This process was forked. The login in progress is the parent's, and so is the probe.
    pub(crate) fn forked(&mut self) {
        if let Some(trial) = self.trial.take() {
            self.ended_without_outcome(Trial { sent: true, ..trial }, trial.ends_at);
        }
    }

    fn give_up_trial(&mut self, now: BootTime) {
        if let Some(trial) = self.trial.take_if(|trial| trial.ends_at <= now) {
            self.ended_without_outcome(trial, trial.ends_at);
        }
    }

    fn ended_without_outcome(&mut self, trial: Trial, at: BootTime) {
        match &mut self.standing {
            Standing::Refused(refused) if trial.sent => {
                refused.until = refused.until.max(at.after(REFUSED_LOGIN_PAUSE));
            }
            _ => {}
        }
    }

    fn end_trial(&mut self, id: LoginId) -> Option<Trial> {
        self.trial.take_if(|trial| trial.id == id)
    }

    fn next_id(&mut self) -> LoginId {
        self.last_id += 1;
        self.last_id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: BootTime = BootTime::from_nanos(1_000_000_000_000);
    const LIMIT: Duration = Duration::from_secs(10);

    fn at(seconds: u64) -> BootTime {
        START.after(Duration::from_secs(seconds))
    }

    const fn minutes(minutes: u64) -> u64 {
        minutes * 60
    }

    /// Starts a login that must be allowed.
    fn begin(logins: &mut Logins, seconds: u64) -> LoginId {
        let Admission::Go(id) = logins.ask(LIMIT, at(seconds)) else {
            panic!("not allowed after {seconds} s: {logins:?}");
        };
        logins.sends(id, at(seconds));
        id
    }

    fn refused_at(seconds: u64) -> Logins {
        let mut logins = Logins::default();
        let id = begin(&mut logins, seconds);
        logins.refused(id, "no".into(), at(seconds));
        logins
    }

    fn refuse(logins: &mut Logins, seconds: u64) {
        let id = begin(logins, seconds);
        logins.refused(id, "no".into(), at(seconds));
    }

    fn refused_until(logins: &mut Logins, seconds: u64) -> Option<BootTime> {
        let told = match logins.ask(LIMIT, at(seconds)) {
            Admission::Refused(refused) => Some(refused.until),
            Admission::Go(id) => {
                logins.ended(id, at(seconds));
                None
            }
            Admission::Wait(_) => panic!("no login is in progress"),
        };
        assert_eq!(told, logins.refusal(at(seconds)).map(|refused| refused.until));
        told
    }

    #[test]
    fn the_end_of_an_earlier_login_does_not_end_a_later_one() {
        let mut logins = Logins::default();
        let first = begin(&mut logins, 0);
        let second = begin(&mut logins, 11);
        assert_ne!(first, second);
        logins.ended(first, at(12));
        assert_eq!(logins.ask(LIMIT, at(12)), Admission::Wait(at(21)));
    }

    #[test]
    fn until_one_is_accepted_there_is_one_login_at_a_time() {
        let mut logins = Logins::default();
        let first = begin(&mut logins, 0);
        assert_eq!(logins.ask(LIMIT, at(1)), Admission::Wait(at(10)));
        logins.accepted(first);
        for _ in 0..3 {
            assert!(matches!(logins.ask(LIMIT, at(1)), Admission::Go(_)));
        }
    }

    #[test]
    fn a_login_without_an_outcome_lets_the_next_one_go() {
        for end in [Logins::passed_over, |logins: &mut Logins, id| logins.ended(id, at(1))] {
            let mut logins = Logins::default();
            let first = begin(&mut logins, 0);
            end(&mut logins, first);
            begin(&mut logins, 1);
            assert!(matches!(logins.ask(LIMIT, at(2)), Admission::Wait(_)));
            // A login whose thread never returned does not block the others forever.
            begin(&mut logins, 11);
        }
    }

    #[test]
    fn a_refusal_is_remembered_for_half_an_hour_and_then_probed_once() {
        let mut logins = refused_at(0);
        assert_eq!(refused_until(&mut logins, minutes(30) - 1), Some(at(minutes(30))));
        let probe = begin(&mut logins, minutes(30));
        // Callers get the refusal meanwhile; a running fetch waits for the outcome.
        assert!(logins.refusal(at(minutes(30) + 1)).is_some());
        assert!(matches!(logins.ask(LIMIT, at(minutes(30) + 1)), Admission::Wait(_)));
        logins.refused(probe, "no".into(), at(minutes(30) + 2));
        assert_eq!(refused_until(&mut logins, minutes(60)), Some(at(minutes(60) + 2)));
    }

    #[test]
    fn wake_allows_one_probe_in_ten_minutes() {
        let mut logins = refused_at(0);
        logins.wake(at(1));
        refuse(&mut logins, 1);
        for second in 2..minutes(10) {
            logins.wake(at(second));
            assert_eq!(refused_until(&mut logins, second), Some(at(minutes(10) + 1)));
        }
        refuse(&mut logins, minutes(10) + 1);
        // Without another wake: half an hour.
        assert_eq!(refused_until(&mut logins, minutes(40)), Some(at(minutes(40) + 1)));
    }

    #[test]
    fn a_probe_counts_once_it_was_sent() {
        let mut logins = refused_at(0);
        let Admission::Go(id) = logins.ask(LIMIT, at(minutes(30))) else { panic!("no probe") };
        logins.ended(id, at(minutes(30) + 1));
        let id = begin(&mut logins, minutes(30) + 1);
        logins.ended(id, at(minutes(30) + 2));
        assert_eq!(refused_until(&mut logins, minutes(60) + 1), Some(at(minutes(60) + 2)));
        // The same if its thread never returned.
        begin(&mut logins, minutes(60) + 2);
        assert!(refused_until(&mut logins, minutes(90)).is_some());
    }

    #[test]
    fn another_answer_or_a_success_ends_a_refusal() {
        for end in [Logins::passed_over, Logins::accepted] {
            let mut logins = refused_at(0);
            let id = begin(&mut logins, minutes(30));
            end(&mut logins, id);
            assert_eq!(logins.refusal(at(minutes(30))), None);
            begin(&mut logins, minutes(30));
        }
    }

    #[test]
    fn concurrent_logins_may_all_be_refused() {
        let mut logins = Logins::default();
        let first = begin(&mut logins, 0);
        logins.accepted(first);
        let (one, other) = (begin(&mut logins, 1), begin(&mut logins, 1));
        let third = begin(&mut logins, 1);
        logins.refused(one, "no".into(), at(2));
        logins.passed_over(third);
        logins.refused(other, "no".into(), at(3));
        assert!(refused_until(&mut logins, 4).is_some());
        // They were not probes.
        logins.wake(at(5));
        begin(&mut logins, 5);
    }

    #[test]
    fn a_child_inherits_the_parents_knowledge_and_leaves_the_probe_to_it() {
        let mut fresh = Logins::default();
        begin(&mut fresh, 0);
        fresh.forked();
        begin(&mut fresh, 1);

        let mut logins = refused_at(0);
        begin(&mut logins, minutes(30));
        logins.forked();
        assert_eq!(refused_until(&mut logins, minutes(60)), Some(at(minutes(60) + 10)));
    }

    #[test]
    fn no_half_hour_sees_more_than_one_login_and_no_ten_minutes_with_wakes_more_than_two() {
        for wakes in [false, true] {
            let (mut logins, mut sent) = (Logins::default(), Vec::new());
            for second in 0..minutes(240) {
                if wakes && second % 7 == 0 {
                    logins.wake(at(second));
                }
                if let Admission::Go(id) = logins.ask(LIMIT, at(second)) {
                    logins.sends(id, at(second));
                    logins.refused(id, "no".into(), at(second));
                    sent.push(second);
                }
            }
            let (most, window) = if wakes { (2, minutes(10)) } else { (1, minutes(30)) };
            let few = |logins: &[u64]| logins[most] - logins[0] >= window;
            assert!(sent.windows(most + 1).all(few), "{sent:?}");
            assert!(sent.len() >= 8);
        }
    }
}
