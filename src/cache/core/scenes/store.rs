//! A fetch's visit to the store.

use super::*;

/// A client with a store whose operations take at most a second.
fn scene(chance: f64) -> Scene {
    let store_timeout = Some(Duration::from_secs(1));
    Scene::set_to(Settings { store_timeout, ..scene::settings() }, chance)
}

const BUSY: Lock = Lock::Busy { is_successor: false };

/// The record of another process's token that was requested at that second.
fn record(requested_at: f64, lifetime: u64) -> Record {
    Record {
        requested_at: second(requested_at),
        lifetime: Duration::from_secs(lifetime),
        granted_for: Duration::from_secs(lifetime),
        fresh_until: BootTime::ZERO,
        tried: 0,
        again_at: second(requested_at),
        same_value: false,
        was_refused: false,
    }
}

impl Scene {
    /// The fetch reads this record from the store. Returns what it does next.
    fn finds(&mut self, record: Option<Record>) -> Option<Task> {
        let (flight, status) = (self.flight(), self.status(Some(Ok(self.pair()))));
        self.step(Input::Looked { flight, record, status });
        self.does()
    }

    fn tries_lock(&mut self, lock: Lock) -> Option<Task> {
        let flight = self.flight();
        self.step(Input::LockTried { flight, lock });
        self.does()
    }

    fn has_announced(&mut self) -> &mut Self {
        let (flight, status) = (self.flight(), self.status(Some(Ok(self.pair()))));
        self.step(Input::Announced { flight, status });
        self
    }

    /// The save of a token, with the renewal time that chance decides.
    fn saves(&self, lifetime: u64) -> Task {
        let lifetime = Duration::from_secs(lifetime);
        Task::Save { fresh_for: lifetime * 3 / 4 - (lifetime / 4).mul_f64(self.env.chance) }
    }

    fn has_saved(&mut self, lifetime: u64) -> bool {
        let (flight, lifetime) = (self.flight(), Duration::from_secs(lifetime));
        self.step(Input::Saved { flight, granted: Granted { lifetime, same_value: false } });
        self.has_output(|output| matches!(output, Output::Publish { .. }))
    }

    /// A caller asks, the store is empty, and the endpoint grants a token.
    fn gets_and_saves(&mut self, lifetime: u64) {
        self.asks();
        assert_eq!(self.goes_on().does(), Some(Task::Look));
        assert_eq!(self.finds(None), Some(Task::TryLock));
        assert_eq!(self.tries_lock(Lock::Taken), Some(Task::Look));
        self.finds(None);
        assert!(self.sends().is_some() && !self.receives_token(lifetime));
        assert_eq!(self.does(), Some(self.saves(lifetime)));
        assert!(self.has_saved(lifetime));
    }

    fn finishes(&self) -> Option<&Outcome<Trouble>> {
        self.outputs.iter().find_map(|output| match output {
            Output::Finish { outcome, .. } => Some(outcome),
            _ => None,
        })
    }

    fn misses(&self) -> Option<Option<Miss>> {
        self.outputs.iter().find_map(|output| match output {
            Output::Notify { notice: Notice::StoreMiss { why, .. }, .. } => Some(*why),
            _ => None,
        })
    }
}

#[test]
fn a_stored_token_is_taken_at_the_first_look() {
    let mut scene = scene(0.0);
    scene.at(100.0).asks();
    assert_eq!(scene.goes_on().does(), Some(Task::Look));
    assert!(
        !scene.notifies(|notice| matches!(notice, Notice::FetchStarted)),
        "the endpoint was not asked"
    );
    assert_eq!(scene.finds(Some(record(40.0, 1200))), None);
    assert!(scene.notifies(|notice| matches!(notice, Notice::StoreHit { .. })));
    assert!(matches!(scene.finishes(), Some(Outcome::Token)));
    assert_eq!(scene.serves_until(), 940.0);
    assert_eq!(scene.core.counters(0).requests, 0);
    // The endpoint was not asked, so the one-second spacing does not apply.
    assert!(scene.is_invalidated());
    assert_eq!(scene.asks(), WaitsAndStarted);
}

#[test]
fn callers_wait_for_the_successor_of_a_stored_token_in_its_hard_window() {
    let mut scene = scene(0.0);
    scene.at(100.0).asks();
    scene.goes_on();
    scene.finds(Some(record(-0.0, 104)));
    assert!(matches!(scene.finishes(), Some(Outcome::AskAgain)));
    assert_eq!(scene.asks(), WaitsTillAndStarted(102.0));
}

#[test]
fn without_a_record_the_fetch_runs_under_the_lock_and_saves_before_it_serves() {
    let mut scene = scene(0.0);
    scene.gets_and_saves(1200);
    assert_eq!(scene.core.counters(0).requests, 1);
    assert!(scene.notifies(|notice| matches!(notice, Notice::Succeeded { attempt: 1, .. })));
}

#[test]
fn a_renewal_is_announced_before_the_request() {
    let mut scene = scene(0.0);
    scene.gets_and_saves(1200);
    let kept = Record { same_value: true, ..record(0.0, 1200) };
    assert_eq!(scene.at(900.0).asks(), ServedAndStarted);
    scene.goes_on();
    assert_eq!(scene.finds(Some(kept)), Some(Task::TryLock));
    assert_eq!(scene.tries_lock(Lock::Taken), Some(Task::Look));
    let again_at = second(902.5);
    assert_eq!(scene.finds(Some(kept)), Some(Task::Announce { again_at }));
    assert_eq!(scene.misses(), Some(Some(Miss::NotNewer)));
    assert_eq!(scene.has_announced().sends(), Some((10.0, 0.0)));
    // If that fails, the record gets the next time before waiters are notified.
    scene.fails(failure(Class::Transient));
    let place = |is_it: fn(&Output<Trouble>) -> bool| scene.outputs.iter().position(is_it).unwrap();
    assert!(
        place(|output| matches!(output, Output::PutOff { wait, .. } if wait.as_millis() == 2500))
            < place(|output| matches!(output, Output::Finish { .. }))
    );
}

#[test]
fn a_process_that_waited_for_another_shares_its_failure() {
    // One waited for the lock; the other came after the renewal had been tried and had failed.
    for (lock, tried) in [(BUSY, 0), (Lock::Taken, 1)] {
        let mut scene = scene(1.0);
        scene.gets_and_saves(1200);
        let kept = Record { same_value: true, ..record(0.0, 1200) };
        scene.at(900.0).asks();
        scene.goes_on();
        assert_eq!(scene.finds(Some(kept)), Some(Task::TryLock));
        if scene.tries_lock(lock) != Some(Task::Look) {
            assert_eq!(scene.goes_on_at(), Some(900.002));
            assert_eq!(scene.at(900.002).goes_on().does(), Some(Task::TryLock));
            assert_eq!(scene.tries_lock(Lock::Taken), Some(Task::Look));
        }
        let failed = Record { tried, again_at: second(930.0), ..kept };
        assert_eq!(scene.finds(Some(failed)), None);
        assert!(scene.misses().is_none() && scene.sends().is_none());
        assert_eq!(scene.at(929.0).asks(), Served);
        assert_eq!(scene.at(930.0).asks(), ServedAndStarted);
    }
}

#[test]
fn a_failure_that_was_known_before_or_whose_pause_is_over_is_not_shared() {
    for (lock, before, now) in [
        (Lock::Taken, (1, 930.0), (1, 930.0)),
        (Lock::Taken, (0, 900.0), (1, 900.0)),
        (Lock::Taken, (0, 900.0), (0, 930.0)),
    ] {
        let mut scene = scene(1.0);
        scene.gets_and_saves(1200);
        let kept = |(tried, again_at)| {
            let again_at = second(again_at);
            Some(Record { same_value: true, tried, again_at, ..record(0.0, 1200) })
        };
        scene.at(900.0).asks();
        scene.goes_on();
        assert_eq!(scene.finds(kept(before)), Some(Task::TryLock));
        assert_eq!(scene.tries_lock(lock), Some(Task::Look));
        scene.finds(kept(now));
        assert_eq!(scene.misses(), Some(Some(Miss::NotNewer)), "{before:?} {now:?}");
    }
}

#[test]
fn a_process_that_waited_in_several_steps_shares_a_failure() {
    let mut scene = scene(1.0);
    scene.gets_and_saves(1200);
    let kept = Record { same_value: true, ..record(0.0, 1200) };
    scene.at(900.0).asks();
    scene.goes_on();
    assert_eq!(scene.finds(Some(kept)), Some(Task::TryLock));
    for _ in 0..2 {
        assert_eq!(scene.tries_lock(BUSY), None);
        let at = scene.goes_on_at().unwrap();
        assert_eq!(scene.at(at).goes_on().does(), Some(Task::TryLock));
    }
    assert_eq!(scene.tries_lock(Lock::Taken), Some(Task::Look));
    assert_eq!(scene.finds(Some(Record { again_at: second(930.0), ..kept })), None);
    assert!(scene.misses().is_none() && scene.sends().is_none());
}

#[test]
fn a_token_stored_meanwhile_is_taken_at_the_second_look() {
    let mut scene = scene(1.0);
    scene.asks();
    scene.goes_on();
    scene.finds(None);
    assert_eq!(scene.tries_lock(BUSY), None);
    assert_eq!(scene.goes_on_at(), Some(0.002));
    scene.at(0.002).goes_on();
    assert_eq!(scene.tries_lock(BUSY), None);
    assert_eq!(scene.goes_on_at(), Some(0.006), "each pause is longer");
    scene.at(0.006).goes_on();
    scene.tries_lock(Lock::Taken);
    scene.finds(Some(record(0.004, 1200)));
    assert!(matches!(scene.finishes(), Some(Outcome::Token)));
}

#[test]
fn a_fetch_goes_on_without_an_unavailable_lock_and_keeps_its_own_time() {
    for (lock, second) in [(Lock::Failed, 0.5), (BUSY, 12.0)] {
        let mut scene = scene(1.0);
        scene.asks();
        scene.goes_on();
        scene.finds(None);
        if lock == BUSY {
            scene.tries_lock(BUSY);
            scene.at(11.999).goes_on();
        }
        scene.tries_lock(lock);
        scene.at(second);
        if lock == BUSY {
            assert!(scene.goes_on_at().is_some());
            scene.at(12.05).goes_on();
            assert_eq!(scene.tries_lock(BUSY), Some(Task::Look), "it has waited enough");
        }
        scene.finds(None);
        assert_eq!(scene.sends(), Some((10.0, 0.0)));
        let began = seconds(scene.now);
        // Saving may take a second.
        assert_eq!(scene.at(began + 16.499).is_given_up(), None);
        assert_eq!(scene.at(began + 16.5).is_given_up(), Some(GivenUp::Overrun));
    }
}

#[test]
fn the_wait_for_a_successor_of_a_dead_process_is_a_wait_of_its_own() {
    let mut scene = scene(1.0);
    scene.asks();
    scene.goes_on();
    scene.finds(None);
    assert_eq!(scene.tries_lock(BUSY), None);
    for (second, is_successor, next) in [
        (11.5, true, None),
        (22.5, true, None),
        (23.0, false, None),
        // Twice is enough.
        (34.4, true, None),
        (34.7, true, Some(Task::Look)),
    ] {
        scene.at(second).goes_on();
        assert_eq!(scene.tries_lock(Lock::Busy { is_successor }), next, "{second}");
        assert_eq!(scene.is_given_up(), None);
    }
    scene.finds(None);
    assert_eq!(scene.sends(), Some((10.0, 0.0)));
}

#[test]
fn a_stored_token_is_renewed_no_earlier_than_its_fetcher_would_and_not_by_all_at_once() {
    for (fetchers, chance, expected) in [
        (700.0, 0.0, 900.0),
        (700.0, 0.5, 800.0),
        (700.0, 1.0, 700.0),
        (900.0, 1.0, 900.0),
        // Of a version that wrote no such time.
        (0.0, 1.0, 600.0),
    ] {
        let mut scene = scene(chance);
        scene.at(100.0).asks();
        scene.goes_on();
        // Used for less than it was granted for, as from another machine.
        let found = Record { fresh_until: second(fetchers), ..record(0.0, 1170) };
        scene.finds(Some(Record { granted_for: Duration::from_secs(1200), ..found }));
        assert_eq!(scene.serves_until(), expected);
        // A forked child shares the store, so it draws from there as well.
        scene.env.chance = 1.0;
        scene.forks();
        assert_eq!(scene.serves_until(), if fetchers == 0.0 { 600.0 } else { fetchers });
    }
}

#[test]
fn the_record_says_when_its_fetcher_renews() {
    for chance in [0.0, 0.4, 1.0] {
        let mut scene = scene(chance);
        scene.gets_and_saves(1200);
        let fresh_until = 900.0 - 300.0 * chance;
        assert_eq!(scene.serves_until(), fresh_until);
        scene.env.chance = 1.0;
        scene.forks();
        assert_eq!(scene.serves_until(), fresh_until, "the earliest for its children too");
    }
}

#[test]
fn a_token_that_expires_while_it_is_saved_is_a_failed_attempt() {
    let mut scene = scene(1.0);
    scene.asks();
    scene.goes_on();
    scene.finds(None);
    scene.tries_lock(Lock::Taken);
    scene.finds(None);
    assert!(!scene.receives_token(2));
    assert_eq!(scene.does(), Some(scene.saves(2)));
    assert!(!scene.at(2.0).has_saved(2));
    assert_eq!(scene.goes_on_at(), Some(2.25));
    // The visit to the store is over: the endpoint is asked at once.
    scene.at(2.25).begins();
    assert!(!scene.receives_token(8) && scene.has_saved(8));
}

#[test]
fn a_record_that_is_no_better_is_a_miss() {
    let mut warm = scene(0.0);
    warm.gets_and_saves(1200);
    assert_eq!(warm.at(900.0).asks(), ServedAndStarted);
    warm.goes_on();
    assert_eq!(warm.finds(Some(record(-0.0, 1199))), Some(Task::TryLock));
    warm.tries_lock(Lock::Taken);
    warm.finds(Some(record(0.0, 1199)));
    assert_eq!(warm.misses(), Some(Some(Miss::NotNewer)));
    assert!(warm.sends().is_some(), "another token's record: nothing to announce");

    let refused = Record { was_refused: true, ..record(0.0, 1200) };
    for (want, record, miss) in [
        (scene::PATIENT, refused, Miss::Refused),
        (scene::PATIENT, Record { same_value: true, ..refused }, Miss::Refused),
        (min_ttl(1000), record(0.0, 1200), Miss::TooShort),
    ] {
        let mut scene = scene(0.0);
        scene.at(300.0).asks_for(&want);
        scene.goes_on();
        assert_eq!(scene.finds(Some(record)), Some(Task::TryLock));
        scene.tries_lock(Lock::Taken);
        scene.finds(Some(record));
        assert_eq!(scene.misses(), Some(Some(miss)));
        assert!(scene.sends().is_some());
    }
}

#[test]
fn waking_ends_the_pause_before_the_next_look_at_the_lock() {
    let mut scene = scene(1.0);
    scene.asks();
    scene.goes_on();
    scene.finds(None);
    scene.tries_lock(BUSY);
    let flight = scene.flight();
    assert_eq!(scene.wakes().released(), [(flight, ResumeWith::Nothing)]);
    assert_eq!(scene.goes_on().does(), Some(Task::TryLock));
}

#[test]
fn credentials_replaced_during_the_store_visit_are_read_before_the_request() {
    let mut scene = scene(1.0);
    scene.asks();
    scene.goes_on();
    scene.finds(None);
    scene.tries_lock(Lock::Taken);
    let (flight, status) = (scene.flight(), scene.status(None));
    scene.step(Input::Looked { flight, record: None, status });
    assert_eq!(scene.is_parked(), Some(false));
    let (ticket, _) = scene.asks_source().unwrap();
    scene.credentials_arrive(false, ticket);
    scene.begins();
}

#[test]
fn a_visit_that_is_given_up_leaves_nothing_behind() {
    let mut scene = scene(1.0);
    scene.asks();
    scene.goes_on();
    let flight = scene.flight();
    // The wait for the lock, seven store operations, and the fetch's own time.
    assert_eq!(scene.at(34.499).is_given_up(), None);
    assert_eq!(scene.at(34.5).is_given_up(), Some(GivenUp::Overrun));
    let status = scene.status(Some(Ok(scene.pair())));
    scene.step(Input::Looked { flight, record: None, status });
    assert!(scene.sends().is_none());
    assert_eq!(scene.core.entry_of(flight), None);
}
