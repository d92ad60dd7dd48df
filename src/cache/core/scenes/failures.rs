//! Failures that may pass: pauses, attempts, missing threads, fetches that hang, and how each of
//! them ends.

use super::*;

impl Scene {
    /// Lets fetches fail repeatedly, each as soon as it may start, and returns the pauses.
    pub(super) fn pauses_between(&mut self, failures: usize, class: Class) -> Vec<f64> {
        let pause = |scene: &mut Self| {
            scene.fails_one_fetch(failure(class));
            let wait = scene.core.next_request_in(scene.on, scene.now, None);
            scene.now = scene.now.after(wait);
            wait.as_secs_f64()
        };
        (0..failures).map(|_| pause(self)).collect()
    }
}

#[test]
fn a_valid_token_is_served_while_fetches_fail_with_growing_pauses() {
    let mut scene = Scene::with_token(1.0, 1200);
    assert_eq!(scene.at(600.0).asks(), ServedAndStarted);
    scene.begins();
    scene.fails(failure(Class::Transient));
    assert!(scene.notifies(|notice| matches!(notice, Notice::ServedWhileFailing { .. })));
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
    assert_eq!(scene.at(1180.0).asks(), WaitsTillAndStarted(1190.0));
    scene.begins();
    scene.fails(failure(Class::Transient));
    assert_eq!(scene.at(1184.999).asks(), Served);
    assert_eq!(scene.at(1185.0).asks(), WaitsTillAndStarted(1192.5));
}

#[test]
fn cold_failures_are_remembered_for_a_second_doubling_to_44() {
    let mut scene = Scene::new(1.0);
    scene.fails_one_fetch(failure(Class::TransientOnce));
    assert_eq!(scene.asks(), Fails(Trouble::Network));
    assert_eq!(scene.at(0.999).asks_for(&AT_ONCE), Fails(Trouble::Network));
    scene.at(1.0);
    let pauses = scene.pauses_between(7, Class::Transient);
    assert_eq!(pauses, [2.0, 4.0, 8.0, 16.0, 32.0, 44.0, 44.0]);
    scene.gets(1200);
    scene.at(2000.0);
    assert_eq!(
        scene.pauses_between(2, Class::TransientOnce),
        [1.0, 2.0],
        "a success starts afresh"
    );
}

#[test]
fn a_login_refused_by_the_proxy_is_no_failure_of_the_entry() {
    let mut scene = Scene::new(1.0);
    // The spacing of fetches alone; how long logins stay refused is known to the process.
    assert_eq!(scene.pauses_between(4, Class::LoginRefused), [1.0; 4]);
}

#[test]
fn a_remembered_error_carries_the_remaining_wait() {
    let mut scene = Scene::new(1.0);
    scene.fails_one_fetch(failure(Class::Terminal));
    for (second, left) in [(20.0, 40.0), (59.0, 1.0)] {
        assert_eq!(scene.at(second).asks(), Fails(Trouble::InvalidScope));
        assert_eq!(scene.is_told_to_wait(), left);
    }
}

#[test]
fn a_fetch_makes_three_attempts_unless_a_token_is_valid_or_the_one_before_failed() {
    let mut scene = Scene::new(1.0);
    let most = |scene: &mut Scene| {
        scene.asks();
        scene.begins();
        scene.max_attempts()
    };
    assert_eq!(most(&mut scene), 3);
    scene.fails(failure(Class::TransientOnce));
    assert_eq!(most(scene.at(1.0)), 1);
    scene.receives_token(1200);
    assert_eq!(most(scene.at(700.0)), 1);
    scene.receives_token(1200);
    assert_eq!(most(scene.at(2000.0)), 3);
}

#[test]
fn attempts_are_limited_by_the_time_of_their_fetch() {
    let mut scene = Scene::new(1.0);
    scene.asks();
    scene.begins();
    assert_eq!(scene.sends(), Some((10.0, 0.0)));
    assert_eq!(scene.at(9.0).attempt_fails(failure(Class::Transient)), Some(9.25));
    assert!(
        scene.notifies(
            |notice| matches!(notice, Notice::AttemptFailed { attempt: 1, wait, took, .. }
        if (wait.as_millis(), took.as_millis()) == (250, 9000))
        )
    );
    scene.at(9.2).goes_on();
    assert_eq!(scene.goes_on_at(), Some(9.25), "it is not time yet");
    scene.at(9.25).begins();
    assert_eq!(scene.sends(), Some((5.75, 9.25)));
}

#[test]
fn a_renewal_retries_while_a_caller_waits_and_the_token_has_expired() {
    let mut scene = Scene::with_token(0.0, 8);
    scene.at(6.0).asks();
    scene.begins();
    for (second, waiting, again) in [
        (7.9, 1, None),
        (8.0, 0, None),
        (8.0, 1, Some(8.0)),
        (20.999, 1, Some(20.999)),
        (21.0, 1, None),
    ] {
        scene.env.waiting[0] = waiting;
        let found = scene.at(second).clone().attempt_fails(failure(Class::Transient));
        assert_eq!(found, again, "at {second} s, {waiting} wait");
    }
}

#[test]
fn an_awaited_renewal_of_an_expired_token_makes_as_many_attempts_as_any_fetch() {
    let mut scene = Scene::with_token(0.0, 8);
    scene.at(6.0).asks();
    scene.begins();
    assert_eq!(scene.at(8.0).asks(), Waits);
    assert_eq!(scene.max_attempts(), 3);
}

#[test]
fn a_renewal_after_a_failed_fetch_makes_one_attempt_even_if_callers_wait() {
    let mut scene = Scene::with_token(0.0, 8);
    scene.at(6.0).fails_one_fetch(failure(Class::Transient));
    scene.at(7.5).asks();
    scene.begins();
    assert_eq!(scene.at(8.0).asks(), Waits);
    assert_eq!(scene.max_attempts(), 1);
}

#[test]
fn a_token_that_is_refused_while_it_is_renewed_leaves_callers_with_none() {
    let mut scene = Scene::with_token(0.0, 1200);
    scene.at(900.0).asks();
    scene.begins();
    assert!(scene.is_invalidated());
    assert_eq!(scene.asks(), Waits);
    assert_eq!(scene.max_attempts(), 3);
}

#[test]
fn a_fetch_for_a_caller_that_cannot_wait_makes_three_attempts_all_the_same() {
    let mut scene = Scene::new(0.0);
    scene.asks_for(&AT_ONCE);
    scene.begins();
    assert_eq!(scene.max_attempts(), 3, "it was started with no caller waiting");
}

#[test]
fn a_pause_between_attempts_after_another_failure_binds_its_fetch_alone() {
    let mut scene = Scene::new(1.0);
    scene.asks();
    scene.begins();
    assert!(scene.attempt_fails(failure(Class::Transient)).is_some());
    assert_eq!(scene.on(1).asks(), WaitsAndStarted);
}

#[test]
fn a_token_that_expires_before_it_arrives_is_a_failed_attempt() {
    let mut scene = Scene::new(1.0);
    scene.asks();
    scene.begins();
    let (flight, two) = (scene.flight(), Duration::from_secs(2));
    assert!(!scene.at(2.0).arrives(flight, two, false));
    assert_eq!(scene.goes_on_at(), Some(2.25));
    scene.at(2.25).begins();
    assert!(scene.at(3.0).receives_token(2), "it lives from the second request on");
    assert_eq!(scene.at(4.249).state(), State::Hard);
    assert_eq!(scene.at(4.25).state(), State::Expired);
}

#[test]
fn a_renewal_is_due_at_the_soft_point_or_when_a_block_ends() {
    let mut scene = Scene::kept_warm(1.0);
    scene.gets(1200);
    assert_eq!(scene.alarm(), Some(600.0));
    scene.at(700.0).ticks();
    assert_eq!(scene.starts(0), Some(Rank::Background));
    assert_eq!(scene.alarm(), Some(715.5), "it is under way");
    scene.begins();
    scene.fails(failure(Class::Transient));
    assert_eq!(scene.alarm(), Some(705.0));
    scene.on(1).fails_one_fetch(refusals::rate_limited_for(100));
    assert_eq!(scene.on(0).at(705.0).ticks().alarm(), Some(800.0));
    scene.at(800.0).ticks().begins();
    scene.fails(failure(Class::Terminal));
    assert_eq!(scene.alarm(), None, "a refusal is not tried again by itself");
    assert_eq!(scene.at(900.0).ticks().alarm(), None);
}

#[test]
fn a_fetch_that_could_not_be_made_is_not_remembered() {
    let mut scene = Scene::new(1.0);
    scene.asks();
    let first = scene.flight();
    scene.is_withdrawn();
    assert_eq!(scene.asks(), Later(1.0));
    assert_eq!(scene.at(1.0).asks(), WaitsAndStarted);
    scene.thread_comes(first, Some(Err(NoCredentials::NoThread(Trouble::NoThread))));
    assert_eq!(scene.asks(), Waits, "another one is not meant");
}

#[test]
fn a_fetch_without_a_thread_is_not_a_failed_fetch() {
    let mut scene = Scene::kept_warm(0.0);
    scene.gets(1200);
    assert_eq!(scene.alarm(), Some(900.0));
    let mut then = 900.0;
    for pause in [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0] {
        assert_eq!(scene.at(then).asks(), ServedAndStarted);
        scene.is_not_started();
        assert_eq!(scene.alarm(), Some(then + pause), "by itself it waits a little");
        assert_eq!(scene.is_blocked_for(), 0.0, "a caller tries at once");
        then += pause;
    }
    assert_eq!(scene.core.counters(0).failures, 0);
    assert_eq!(scene.at(then).asks(), ServedAndStarted);
    scene.begins();
    scene.receives_token(1200);
    assert_eq!(scene.alarm(), Some(then + 900.0));
    assert_eq!(scene.at(then + 900.0).asks(), ServedAndStarted);
    scene.is_not_started();
    assert_eq!(scene.alarm(), Some(then + 901.0), "one that began starts the count afresh");
    scene.forks();
    assert_eq!(scene.starts(0), Some(Rank::Background), "a child may have threads");
}

#[test]
fn without_a_thread_half_of_a_short_life_is_left_for_the_next_try() {
    let mut scene = Scene::kept_warm(0.0);
    scene.gets(8);
    let mut tries = vec![];
    scene.at(6.0);
    for _ in 0..4 {
        scene.ticks().is_not_started();
        let next = scene.alarm().unwrap();
        tries.push(next);
        scene.at(next);
    }
    assert_eq!(tries, [7.0, 8.0, 12.0, 20.0]);
}

#[test]
fn an_overrun_fetch_is_given_up_and_its_late_token_is_used() {
    let mut scene = Scene::new(1.0);
    scene.asks();
    assert_eq!(scene.at(100.0).is_given_up(), None, "it has not begun: it waits for a thread");
    scene.begins();
    let lost = scene.flight();
    assert_eq!(scene.at(115.499).is_given_up(), None);
    assert_eq!(scene.at(115.5).is_given_up(), Some(GivenUp::Overrun));
    assert!(scene.has_output(|output| matches!(
        output,
        Output::Finish { outcome: Outcome::Fail(Reason::Failed { fault: Fault::Overrun, .. }), .. }
    )));
    assert_eq!(scene.is_given_up(), None, "it is given up once");
    assert_eq!(scene.asks(), Fails(Trouble::Overrun));
    assert_eq!(scene.at(116.5).asks(), WaitsAndStarted);
    assert!(scene.at(120.0).arrives(lost, Duration::from_secs(1200), false));
    assert_eq!(scene.asks(), Served);
    assert_ne!(scene.flight(), lost, "its successor continues");
    assert_eq!(scene.core.entry_of(lost), None);
}

#[test]
fn a_waiting_fetch_is_dropped_when_it_is_given_up() {
    let mut scene = Scene::new(1.0);
    scene.asks();
    scene.begins();
    assert_eq!(scene.attempt_fails(refusals::rate_limited_for(5)), Some(5.0));
    let flight = scene.flight();
    assert_eq!(scene.at(15.5).is_given_up(), Some(GivenUp::Overrun));
    assert_eq!(scene.core.entry_of(flight), None);
    scene.thread_comes(flight, Some(Ok(scene.pair())));
    assert!(scene.outputs.is_empty());
}

#[test]
fn a_late_token_never_replaces_a_better_one() {
    let mut scene = Scene::new(1.0);
    scene.asks();
    scene.begins();
    let lost = scene.flight();
    assert!(scene.at(15.5).is_given_up().is_some());
    scene.at(16.5).gets(1200);
    let better = scene.serial();
    assert!(!scene.at(20.0).arrives(lost, Duration::from_secs(1200), false));
    assert!(scene.is_refused(better));
}

#[test]
fn a_late_failure_of_a_fetch_that_was_given_up_is_ignored() {
    let mut scene = Scene::new(1.0);
    scene.asks();
    scene.begins();
    let lost = scene.flight();
    assert!(scene.at(15.5).is_given_up().is_some());
    assert_eq!(scene.at(16.5).asks(), WaitsAndStarted);
    scene.answers(lost, Err(failure(Class::Terminal)));
    assert!(!scene.has_output(|output| matches!(output, Output::Finish { .. })));
    assert_eq!(scene.asks(), Waits, "its successor continues");
}

#[test]
fn waking_ends_pauses_at_once_without_a_token_and_within_five_seconds_with_one() {
    let mut scene = Scene::with_token(1.0, 1200);
    scene.at(600.0).pauses_between(4, Class::Transient);
    scene.fails_one_fetch(failure(Class::Transient));
    scene.on(1).fails_one_fetch(failure(Class::TransientOnce));
    let woken = seconds(scene.now);
    scene.wakes();
    assert_eq!(scene.asks(), Later(woken + 1.0), "the spacing alone is left");
    assert_eq!(scene.at(woken + 1.0).asks(), WaitsAndStarted);
    scene.begins();
    assert_eq!(scene.max_attempts(), 3, "as if nothing had failed");
    assert_eq!(scene.on(0).at(woken + 4.999).asks(), Served);
    assert_eq!(scene.at(woken + 5.0).asks(), ServedAndStarted);
}

#[test]
fn waking_never_makes_a_pause_longer() {
    let mut scene = Scene::with_token(1.0, 1200);
    scene.at(600.0).fails_one_fetch(failure(Class::Transient));
    scene.at(604.0).wakes();
    assert_eq!(scene.at(605.0).asks(), ServedAndStarted);
}

#[test]
fn an_invalidation_does_not_end_a_pause() {
    let mut scene = Scene::with_token(1.0, 1200);
    scene.at(600.0).fails_one_fetch(failure(Class::Transient));
    assert!(scene.is_invalidated());
    assert_eq!(scene.at(604.999).asks(), Fails(Trouble::Network));
    assert_eq!(scene.at(605.0).asks(), WaitsAndStarted);
}
