//! What goes wrong, in scenes: pauses, refusals, limits, and how each of them ends.

use super::*;

fn failure(class: Class) -> Failure {
    let kind = match class {
        Class::Transient | Class::TransientOnce => ErrorKind::Network,
        Class::LoginRefused => ErrorKind::Proxy,
        Class::RateLimited => ErrorKind::RateLimited,
        Class::Terminal => ErrorKind::InvalidScope,
        Class::Refused => ErrorKind::InvalidClient,
    };
    Failure::new(class, Error::new(kind, "the reason"))
}

fn rate_limited_for(seconds: u64) -> Failure {
    Failure { retry_after: Some(Duration::from_secs(seconds)), ..failure(Class::RateLimited) }
}

impl Scene {
    /// A caller asks, and the fetch that starts fails in no time.
    fn suffers(&mut self, failure: Failure) {
        let heard = self.asks();
        assert!(self.entry().flight().is_some(), "nothing was started: {heard:?}");
        self.begins();
        assert!(self.fails(failure));
    }

    /// Fails again and again, each time as soon as a fetch may start, and tells the pauses.
    fn pauses_between(&mut self, failures: usize, class: Class) -> Vec<f64> {
        let pause = |scene: &mut Self| {
            scene.suffers(failure(class));
            let end = scene.entries[scene.on].blocked(&mut scene.limits, scene.now);
            let wait = end.expect("a failure makes a pause").until.until(scene.now);
            scene.now = scene.now.after(wait);
            wait.as_secs_f64()
        };
        (0..failures).map(|_| pause(self)).collect()
    }
}

/// How many attempts a fetch makes that fail at once, with somebody waiting for it.
fn count(scene: &mut Scene, mut attempts: Attempts) -> u32 {
    let transient = failure(Class::Transient);
    loop {
        attempts.next(scene.now);
        if scene.tries_again(&attempts, &transient, true).is_none() {
            return attempts.made();
        }
    }
}

#[test]
fn a_valid_token_is_served_while_fetches_fail_with_growing_pauses() {
    let mut scene = Scene::with_token(1.0, 1200);
    assert_eq!(scene.at(600.0).asks(), ServedAndStarted);
    scene.begins();
    scene.fails(failure(Class::Transient));
    assert_eq!(scene.at(604.999).asks(), Served);
    scene.at(605.0);
    assert_eq!(scene.pauses_between(6, Class::Transient), [10.0, 20.0, 40.0, 60.0, 60.0, 60.0]);
    assert_eq!(scene.asks(), ServedAndStarted);
}

#[test]
fn the_shortest_pause_with_a_valid_token_is_half_of_the_longest() {
    let mut scene = Scene::with_token(0.0, 1200);
    scene.at(900.0);
    assert_eq!(scene.pauses_between(5, Class::Transient), [2.5, 5.0, 10.0, 20.0, 30.0]);
}

#[test]
fn a_pause_is_never_longer_than_half_of_the_remaining_life() {
    let mut scene = Scene::with_token(1.0, 8);
    scene.at(4.0);
    assert_eq!(scene.pauses_between(2, Class::Transient), [2.0, 1.0]);
    assert_eq!(scene.state(), State::Soft);
}

#[test]
fn in_the_hard_window_a_failed_fetch_leaves_the_token_to_callers() {
    let mut scene = Scene::with_token(1.0, 1200);
    assert_eq!(scene.at(1180.0).asks(), Heard::WaitsTillAndStarted(1190.0));
    scene.begins();
    scene.fails(failure(Class::Transient));
    assert_eq!(scene.at(1184.999).asks(), Served);
    assert_eq!(scene.at(1185.0).asks(), Heard::WaitsTillAndStarted(1192.5));
}

#[test]
fn cold_failures_are_remembered_for_a_second_doubling_to_44() {
    let mut scene = Scene::new(1.0);
    scene.suffers(failure(Class::Transient));
    assert_eq!(scene.asks(), Fails(ErrorKind::Network));
    assert_eq!(scene.at(0.999).asks_for(&AT_ONCE), Fails(ErrorKind::Network));
    scene.at(1.0);
    let pauses = scene.pauses_between(7, Class::TransientOnce);
    assert_eq!(pauses, [2.0, 4.0, 8.0, 16.0, 32.0, 44.0, 44.0]);
    scene.gets(1200);
    scene.at(2000.0);
    assert_eq!(scene.pauses_between(2, Class::Transient), [1.0, 2.0], "a success starts afresh");
}

/// What the process knows of logins to the proxy, as the client's state is told it.
fn refuse_logins(scene: &mut Scene, until: Option<f64>) {
    let until = until.map(|until| START.after(Duration::from_secs_f64(until)));
    let blocked = |until| Blocked::new(until, &Error::new(ErrorKind::Proxy, "407"));
    scene.limits.set_login(until.map(blocked));
}

#[test]
fn a_login_that_the_proxy_refused_holds_every_entry_whatever_happens_to_the_client() {
    let mut scene = Scene::new(1.0);
    refuse_logins(&mut scene, Some(1800.0));
    scene.suffers(failure(Class::LoginRefused));
    let Answer::Fail(error) = scene.at(100.0).decides(&Want::default()).answer else {
        panic!("a refusal is remembered")
    };
    assert_eq!(
        (error.kind(), error.retry_after()),
        (ErrorKind::Proxy, Some(Duration::from_secs(1700)))
    );
    scene.rotates();
    assert_eq!(scene.asks(), Fails(ErrorKind::Proxy));
    scene.wakes();
    assert_eq!(scene.on(1).asks(), Fails(ErrorKind::Proxy));
    // Kept warm, it looks each minute whether another client was let in, and starts nothing.
    let looks_at = scene.entries[1].renew_at(&mut scene.limits, scene.now);
    assert_eq!(looks_at.map(seconds), Some(160.0));
    refuse_logins(&mut scene, None);
    assert_eq!(scene.asks(), WaitsAndStarted);
    let attempts = scene.begins();
    assert_eq!(count(&mut scene, attempts), 3, "it was not the endpoint that failed");
}

#[test]
fn a_valid_token_is_served_while_the_proxy_refuses_logins() {
    let mut scene = Scene::with_token(1.0, 1200);
    assert_eq!(scene.at(600.0).asks(), ServedAndStarted);
    scene.begins();
    refuse_logins(&mut scene, Some(2400.0));
    scene.fails(failure(Class::LoginRefused));
    assert_eq!(scene.at(601.0).asks(), Served);
    assert_eq!(scene.serves_until(), 661.0);
    assert_eq!(scene.at(1199.0).asks(), Served);
    assert_eq!(scene.at(1200.0).asks(), Fails(ErrorKind::Proxy));
    // Another client was let in.
    refuse_logins(&mut scene, None);
    assert_eq!(scene.asks(), WaitsAndStarted);
}

#[test]
fn the_error_of_a_pause_tells_the_wait_that_is_left() {
    let mut scene = Scene::new(1.0);
    scene.suffers(failure(Class::Terminal));
    let Answer::Fail(error) = scene.at(20.0).decides(&Want::default()).answer else {
        panic!("a refusal is remembered")
    };
    assert_eq!(error.retry_after(), Some(Duration::from_secs(40)));
    assert_eq!(error.message(), "the reason (remembered; next try in 40 s)");
    let Answer::Fail(error) = scene.at(59.1).decides(&Want::default()).answer else {
        panic!("it is remembered still")
    };
    assert_eq!(error.message(), "the reason (remembered; next try in 1 s)");
}

#[test]
fn another_entrys_rate_limit_is_told_as_what_is_remembered() {
    let mut scene = Scene::new(1.0);
    scene.suffers(rate_limited_for(100));
    let Answer::Fail(error) = scene.on(1).at(10.0).decides(&Want::default()).answer else {
        panic!("it binds all entries")
    };
    assert_eq!(error.message(), "the reason (remembered; next try in 90 s)");
}

#[test]
fn a_fetch_makes_three_attempts_unless_a_token_is_valid_or_the_one_before_failed() {
    let mut scene = Scene::new(1.0);
    let count = |scene: &mut Scene| {
        scene.asks();
        let attempts = scene.begins();
        count(scene, attempts)
    };
    assert_eq!(count(&mut scene), 3);
    scene.fails(failure(Class::Transient));
    assert_eq!(count(scene.at(1.0)), 1);
    scene.brings(1200);
    assert_eq!(count(scene.at(700.0)), 1);
    scene.brings(1200);
    assert_eq!(count(scene.at(2000.0)), 3);
}

#[test]
fn a_renewal_goes_on_while_somebody_waits_and_the_token_has_ended() {
    let mut scene = Scene::with_token(0.0, 8);
    scene.at(6.0).asks();
    let mut renewal = scene.begins();
    renewal.next(scene.now);
    let transient = failure(Class::Transient);
    for (second, has_waiters, again) in [
        (7.9, true, None),
        (8.0, false, None),
        (8.0, true, Some(8.0)),
        (20.999, true, Some(20.999)),
        (21.0, true, None),
    ] {
        let found = scene.at(second).tries_again(&renewal, &transient, has_waiters);
        assert_eq!(found, again, "at {second} s, waiters: {has_waiters}");
    }
}

#[test]
fn a_renewal_goes_on_to_as_many_attempts_as_any_fetch() {
    let mut scene = Scene::with_token(0.0, 8);
    scene.at(6.0).asks();
    let attempts = scene.begins();
    assert_eq!(count(scene.at(8.0), attempts), 3);
}

#[test]
fn a_renewal_that_follows_a_failed_fetch_makes_one_attempt_whoever_waits() {
    let mut scene = Scene::with_token(0.0, 8);
    scene.at(6.0).suffers(failure(Class::Transient));
    scene.at(7.5).asks();
    let attempts = scene.begins();
    assert_eq!(count(scene.at(8.0), attempts), 1);
}

#[test]
fn a_token_that_is_refused_while_it_is_renewed_leaves_callers_with_none() {
    let mut scene = Scene::with_token(0.0, 1200);
    scene.at(900.0).asks();
    let attempts = scene.begins();
    let serial = scene.last_serial;
    assert!(scene.entry().invalidate(serial));
    assert_eq!(count(&mut scene, attempts), 3);
}

#[test]
fn a_fetch_for_a_caller_that_cannot_wait_makes_three_attempts_all_the_same() {
    let mut scene = Scene::new(0.0);
    scene.asks_for(&AT_ONCE);
    let mut attempts = scene.begins_with(false).expect("it is for nobody who could leave");
    attempts.next(scene.now);
    assert!(scene.tries_again(&attempts, &failure(Class::Transient), false).is_some());
}

#[test]
fn a_refused_scope_is_remembered_for_a_minute_doubling_to_ten_then_probed_once() {
    let mut scene = Scene::new(1.0);
    scene.suffers(failure(Class::Terminal));
    assert_eq!(scene.at(59.999).asks(), Fails(ErrorKind::InvalidScope));
    assert_eq!(scene.on(1).asks(), WaitsAndStarted, "another scope may be allowed");
    scene.on(0).at(60.0);
    let pauses = scene.pauses_between(5, Class::Terminal);
    assert_eq!(pauses, [120.0, 240.0, 480.0, 600.0, 600.0]);
    assert_eq!(scene.asks(), WaitsAndStarted);
    assert_eq!(scene.asks(), Waits, "one probe");
}

#[test]
fn a_refused_scope_leaves_a_valid_token_to_callers() {
    let mut scene = Scene::with_token(0.0, 1200);
    scene.at(900.0).suffers(failure(Class::Terminal));
    assert_eq!(scene.at(959.999).asks(), Served);
    assert_eq!(scene.at(960.0).asks(), ServedAndStarted);
}

#[test]
fn refused_credentials_block_all_entries_until_they_change() {
    let mut scene = Scene::new(1.0);
    scene.on(1).gets(8);
    scene.on(0).suffers(failure(Class::Refused));
    for entry in [0, 2] {
        assert_eq!(scene.on(entry).at(4.0).asks(), Fails(ErrorKind::InvalidClient));
    }
    assert_eq!(scene.on(1).asks(), Served, "its token is valid");
    assert_eq!(scene.at(8.0).asks(), Fails(ErrorKind::InvalidClient));
    scene.rotates();
    for entry in 0..3 {
        assert_eq!(scene.on(entry).asks(), WaitsAndStarted);
    }
}

#[test]
fn refused_credentials_are_probed_after_a_minute_doubling_to_ten() {
    let mut scene = Scene::new(1.0);
    let pauses = scene.pauses_between(6, Class::Refused);
    assert_eq!(pauses, [60.0, 120.0, 240.0, 480.0, 600.0, 600.0]);
    scene.gets(1200);
    assert_eq!(scene.on(1).asks(), WaitsAndStarted);
}

#[test]
fn a_token_for_one_entry_ends_the_refusal_of_the_credentials_for_all() {
    let mut scene = Scene::new(1.0);
    scene.on(1).asks();
    scene.begins();
    scene.on(0).suffers(failure(Class::Refused));
    assert_eq!(scene.on(2).asks(), Fails(ErrorKind::InvalidClient));
    scene.on(1).brings(1200);
    assert_eq!(scene.on(2).asks(), WaitsAndStarted);
}

#[test]
fn the_longest_of_two_retry_afters_binds() {
    let mut scene = Scene::new(1.0);
    scene.on(1).asks();
    scene.begins();
    scene.on(0).suffers(rate_limited_for(100));
    scene.on(1).fails(rate_limited_for(10));
    assert_eq!(scene.on(2).at(99.999).asks(), Fails(ErrorKind::RateLimited));
    assert_eq!(scene.at(100.0).asks(), WaitsAndStarted);
}

#[test]
fn a_retry_after_binds_every_entry_and_nothing_shortens_it() {
    let mut scene = Scene::new(1.0);
    scene.on(1).gets(8);
    scene.on(0).suffers(rate_limited_for(100));
    scene.at(4.0).wakes();
    scene.rotates();
    scene.forks();
    assert_eq!(scene.asks(), Fails(ErrorKind::RateLimited));
    assert_eq!(scene.on(2).asks(), Fails(ErrorKind::RateLimited));
    assert_eq!(scene.on(1).asks(), Served);
    assert_eq!(scene.at(99.999).asks(), Fails(ErrorKind::RateLimited));
    assert_eq!(scene.at(100.0).asks(), WaitsAndStarted);
}

#[test]
fn a_retry_after_binds_from_the_attempt_on_that_was_told_it() {
    let mut scene = Scene::new(1.0);
    scene.asks();
    let mut attempts = scene.begins();
    attempts.next(scene.now);
    assert_eq!(scene.tries_again(&attempts, &rate_limited_for(5), true), Some(5.0));
    assert_eq!(scene.on(1).asks(), Fails(ErrorKind::RateLimited));
    assert_eq!(scene.on(0).asks(), Waits, "its fetch is still under way");
}

#[test]
fn a_pause_between_attempts_after_a_rate_limit_is_of_the_whole_client() {
    let without_wait = failure(Class::RateLimited);
    for told in [&without_wait, &rate_limited_for(0)] {
        let mut scene = Scene::new(1.0);
        scene.on(1).asks();
        scene.begins();
        scene.on(0).asks();
        let mut attempts = scene.begins();
        attempts.next(scene.now);
        assert_eq!(scene.tries_again(&attempts, told, true), Some(0.25));
        assert_eq!(scene.on(2).at(0.249).asks(), Fails(ErrorKind::RateLimited), "no fetch starts");
        let now = scene.now;
        assert!(scene.limits.may_request(now).is_err(), "and none that runs sends anything");
        let now = scene.at(0.25).now;
        assert!(scene.limits.may_request(now).is_ok());
        assert_eq!(scene.asks(), WaitsAndStarted);
    }
}

#[test]
fn a_pause_between_attempts_after_another_failure_is_of_its_fetch_alone() {
    let mut scene = Scene::new(1.0);
    scene.asks();
    let mut attempts = scene.begins();
    attempts.next(scene.now);
    assert!(scene.tries_again(&attempts, &failure(Class::Transient), true).is_some());
    assert_eq!(scene.on(1).asks(), WaitsAndStarted);
}

#[test]
fn a_rate_limit_without_a_wait_pauses_the_whole_client() {
    let mut scene = Scene::new(1.0);
    scene.suffers(failure(Class::RateLimited));
    assert_eq!(scene.on(1).at(0.999).asks(), Fails(ErrorKind::RateLimited));
    assert_eq!(scene.at(1.0).asks(), WaitsAndStarted);
}

#[test]
fn beyond_the_budget_there_is_the_valid_token_or_an_error() {
    let mut scene = Scene::with_budget(0.0, 2);
    scene.gets(1200);
    scene.at(870.0).on(1).gets(8);
    scene.at(876.0).gets(8);
    assert_eq!(scene.on(0).at(900.0).asks(), Served);
    assert_eq!(scene.on(2).asks(), Fails(ErrorKind::Budget));
    assert_eq!(scene.at(930.0).asks(), WaitsAndStarted);
}

#[test]
fn looking_ahead_to_a_renewal_does_not_forget_the_budget() {
    let mut scene = Scene::with_budget(0.0, 1);
    scene.gets(1200);
    let now = scene.now;
    let due = scene.entries[0].renew_at(&mut scene.limits, now);
    assert_eq!(due.map(seconds), Some(900.0));
    assert_eq!(scene.on(1).asks(), Fails(ErrorKind::Budget));
}

#[test]
fn a_renewal_is_due_when_the_token_turns_soft_or_what_forbids_it_ends() {
    let mut scene = Scene::with_token(1.0, 1200);
    let due =
        |scene: &mut Scene| scene.entries[0].renew_at(&mut scene.limits, scene.now).map(seconds);
    assert_eq!(due(&mut scene), Some(600.0));
    assert_eq!(due(scene.at(700.0)), Some(700.0));
    scene.asks();
    assert_eq!(due(&mut scene), None, "it is under way");
    scene.begins();
    scene.fails(failure(Class::Transient));
    assert_eq!(due(&mut scene), Some(705.0));
    scene.on(1).suffers(rate_limited_for(100));
    assert_eq!(due(&mut scene), Some(800.0));
    scene.on(0).at(800.0).suffers(failure(Class::Terminal));
    assert_eq!(due(&mut scene), None, "a refusal is not tried again by itself");
}

#[test]
fn a_fetch_that_could_not_be_made_leaves_no_memory() {
    let mut scene = Scene::new(1.0);
    scene.asks();
    scene.begins();
    let id = scene.flight();
    scene.is_withdrawn(id);
    assert_eq!(scene.asks(), Later(1.0));
    assert_eq!(scene.at(1.0).asks(), WaitsAndStarted);
    scene.is_withdrawn(id);
    assert!(scene.entry().flight().is_some(), "another one is not meant");
}

#[test]
fn a_fetch_without_a_thread_is_no_failed_fetch() {
    let mut scene = Scene::with_token(0.0, 1200);
    assert_eq!(scene.renews_at(), Some(900.0));
    let mut then = 900.0;
    for pause in [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0] {
        assert_eq!(scene.at(then).asks(), ServedAndStarted);
        scene.is_not_started();
        assert_eq!(scene.renews_at(), Some(then + pause), "by itself it waits a little");
        assert_eq!(scene.blocked_until(), None, "a caller tries at once");
        then += pause;
    }
    assert_eq!(scene.at(then).asks(), ServedAndStarted);
    scene.begins();
    scene.brings(1200);
    assert_eq!(scene.renews_at(), Some(then + 900.0));
    assert_eq!(scene.at(then + 900.0).asks(), ServedAndStarted);
    scene.is_not_started();
    assert_eq!(scene.renews_at(), Some(then + 901.0), "one that began starts the count afresh");
    scene.forks();
    assert_eq!(scene.renews_at(), Some(then + 900.0), "a child may have threads");
}

#[test]
fn without_a_thread_half_of_a_short_life_is_left_for_the_next_try() {
    let mut scene = Scene::with_token(0.0, 8);
    let mut tries = vec![];
    scene.at(6.0);
    for _ in 0..4 {
        scene.asks();
        scene.is_not_started();
        let next = scene.renews_at().unwrap();
        tries.push(next);
        scene.at(next);
    }
    assert_eq!(tries, [7.0, 8.0, 12.0, 20.0]);
}

/// What asks whether a refusal still stands, and never gets to ask, leaves the question open.
#[test]
fn a_probe_that_was_not_made_lets_the_next_caller_probe() {
    type NotMade = fn(&mut Scene);
    let ways: [NotMade; 3] = [
        Scene::is_not_started,
        |scene| {
            let id = scene.flight();
            scene.is_withdrawn(id);
        },
        |scene| assert!(scene.begins_with(false).is_none()),
    ];
    for is_not_made in ways {
        let mut scene = Scene::new(0.0);
        scene.suffers(failure(Class::Refused));
        assert_eq!(scene.at(59.999).asks(), Fails(ErrorKind::InvalidClient));
        assert_eq!(scene.at(60.0).asks(), WaitsAndStarted);
        assert_eq!(scene.on(1).asks(), Fails(ErrorKind::InvalidClient), "one probes for all");
        is_not_made(scene.on(0));
        assert_eq!(scene.on(1).asks(), WaitsAndStarted);
        assert_eq!(scene.on(0).asks(), Fails(ErrorKind::InvalidClient), "one probes for all");
    }
}

#[test]
fn an_overrun_fetch_is_given_up_and_its_late_token_is_welcome() {
    let mut scene = Scene::new(1.0);
    scene.asks();
    assert!(!scene.at(100.0).is_given_up(), "it has not begun: it waits for a thread");
    scene.begins();
    let lost = scene.flight();
    assert!(!scene.at(115.499).is_given_up());
    assert!(scene.at(115.5).is_given_up());
    assert!(!scene.is_given_up(), "it is given up once");
    assert_eq!(scene.asks(), Fails(ErrorKind::Network));
    assert_eq!(scene.at(116.5).asks(), WaitsAndStarted);
    assert!(scene.at(120.0).comes_home(lost, Duration::from_secs(1200), false));
    assert_eq!(scene.asks(), Served);
    assert_ne!(scene.flight(), lost, "the fetch that followed goes on");
}

#[test]
fn a_late_token_never_takes_the_place_of_a_better_one() {
    let mut scene = Scene::new(1.0);
    scene.asks();
    scene.begins();
    let lost = scene.flight();
    assert!(scene.at(15.5).is_given_up());
    scene.at(16.5).gets(1200);
    let better = scene.last_serial;
    assert!(!scene.at(20.0).comes_home(lost, Duration::from_secs(1200), false));
    assert!(scene.entry().invalidate(better));
}

#[test]
fn a_late_failure_of_a_fetch_that_was_given_up_says_nothing() {
    let mut scene = Scene::new(1.0);
    scene.asks();
    scene.begins();
    let lost = scene.flight();
    assert!(scene.at(15.5).is_given_up());
    let now = scene.at(16.5).now;
    let late = failure(Class::Terminal);
    assert_eq!(scene.asks(), WaitsAndStarted);
    assert!(!scene.entries[0].failed(&mut scene.limits, lost, late, now, &mut || 1.0));
    assert_eq!(scene.asks(), Waits, "the fetch that followed goes on");
}

#[test]
fn waking_ends_pauses_at_once_without_a_token_and_within_five_seconds_with_one() {
    let mut scene = Scene::with_token(1.0, 1200);
    scene.at(600.0).pauses_between(4, Class::Transient);
    scene.suffers(failure(Class::Transient));
    scene.on(1).suffers(failure(Class::Transient));
    let woken = seconds(scene.now);
    scene.wakes();
    assert_eq!(scene.asks(), Later(woken + 1.0), "the spacing alone is left");
    assert_eq!(scene.at(woken + 1.0).asks(), WaitsAndStarted);
    let attempts = scene.begins();
    assert_eq!(count(&mut scene, attempts), 3, "as if nothing had failed");
    assert_eq!(scene.on(0).at(woken + 4.999).asks(), Served);
    assert_eq!(scene.at(woken + 5.0).asks(), ServedAndStarted);
}

#[test]
fn waking_never_makes_a_pause_longer() {
    let mut scene = Scene::with_token(1.0, 1200);
    scene.at(600.0).suffers(failure(Class::Transient));
    scene.at(604.0).wakes();
    assert_eq!(scene.at(605.0).asks(), ServedAndStarted);
}

#[test]
fn waking_allows_one_probe_of_a_refusal() {
    let mut scene = Scene::new(1.0);
    scene.suffers(failure(Class::Terminal));
    scene.on(1).suffers(failure(Class::Refused));
    scene.at(10.0).wakes();
    assert_eq!(scene.asks(), WaitsAndStarted);
    scene.begins();
    scene.fails(failure(Class::Refused));
    assert_eq!(scene.on(0).at(129.999).asks(), Fails(ErrorKind::InvalidClient));
    scene.at(130.0).suffers(failure(Class::Terminal));
    assert_eq!(scene.at(249.999).asks(), Fails(ErrorKind::InvalidScope));
}

#[test]
fn new_credentials_end_refusals_and_pauses_but_not_the_spacing() {
    let mut scene = Scene::new(1.0);
    scene.suffers(failure(Class::Terminal));
    scene.rotates();
    assert_eq!(scene.at(0.5).asks(), Later(1.0));
    scene.at(1.0).suffers(failure(Class::Terminal));
    assert_eq!(scene.at(60.999).asks(), Fails(ErrorKind::InvalidScope), "a minute, not two");
    assert_eq!(scene.at(61.0).asks(), WaitsAndStarted);
}

#[test]
fn an_invalidation_does_not_end_a_pause() {
    let mut scene = Scene::with_token(1.0, 1200);
    scene.at(600.0).suffers(failure(Class::Transient));
    let serial = scene.last_serial;
    assert!(scene.entry().invalidate(serial));
    assert_eq!(scene.at(604.999).asks(), Fails(ErrorKind::Network));
    assert_eq!(scene.at(605.0).asks(), WaitsAndStarted);
}
