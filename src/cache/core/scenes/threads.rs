//! Which fetch gets a thread first, and what happens to one that gets none.

use super::*;

#[test]
fn awaited_fetches_get_threads_first_and_running_ones_before_all() {
    let mut scene = Scene::with_token(1.0, 8);
    assert_eq!(scene.at(4.0).asks(), ServedAndStarted);
    assert_eq!(scene.starts(0), Some(Rank::Background));
    scene.on(1).asks_for(&AT_ONCE);
    assert_eq!(scene.starts(1), Some(Rank::Background));
    scene.on(2).asks();
    assert_eq!(scene.starts(2), Some(Rank::Awaited));
    scene.waits_for_credentials();
    let (ticket, _) = scene.asks_source().unwrap();
    scene.credentials_arrive(false, ticket);
    assert_eq!(scene.released(), [(scene.flight(), ResumeWith::Credentials)]);
}

#[test]
fn a_queued_fetch_is_hastened_once_a_caller_waits_for_it() {
    let mut scene = Scene::new(0.0);
    assert_eq!(scene.asks_for(&AT_ONCE), FailsAndStarted(Trouble::Pending));
    let flight = scene.flight();
    let hastens = |output: &_| matches!(output, Output::Hasten { flight: of } if *of == flight);
    assert_eq!(scene.asks_for(&AT_ONCE), Fails(Trouble::Pending));
    assert!(!scene.has_output(hastens), "it does not wait");
    assert_eq!(scene.asks(), Waits);
    assert!(scene.has_output(hastens));
    assert_eq!(scene.asks(), Waits);
    assert!(!scene.has_output(hastens), "once is enough");
    // Started with no caller waiting; callers leaving does not cancel it.
    scene.leaves().begins();
}

/// A client whose token has been refused, so that the next fetch may start at second 1.
fn refused_at_once() -> Scene {
    let mut scene = Scene::with_token(0.0, 8);
    assert!(scene.at(0.2).is_invalidated());
    scene
}

#[test]
fn a_promised_fetch_starts_as_soon_as_it_may() {
    let mut scene = refused_at_once();
    assert_eq!(scene.asks_for(&AT_ONCE), Fails(Trouble::Pending));
    assert_eq!(scene.alarm(), Some(1.0));
    scene.at(0.9).ticks();
    assert_eq!((scene.starts(0), scene.alarm()), (None, Some(1.0)), "an alarm may fire early");
    scene.at(1.0).ticks();
    assert_eq!((scene.starts(0), scene.alarm()), (Some(Rank::Background), None));
    scene.begins();
    scene.receives_token(8);
    assert_eq!(scene.asks_for(&AT_ONCE), Served);
}

#[test]
fn a_promised_fetch_stays_promised_without_a_thread() {
    let mut scene = refused_at_once();
    scene.asks_for(&AT_ONCE);
    for (then, next) in [(1.0, 2.0), (2.0, 4.0), (4.0, 8.0)] {
        assert!(scene.at(then).ticks().starts(0).is_some());
        scene.is_not_started();
        assert_eq!((scene.starts(0), scene.alarm()), (None, Some(next)));
    }
    // A caller starts one: the promise is fulfilled.
    assert_eq!(scene.at(5.0).asks(), WaitsAndStarted);
    scene.begins();
    scene.receives_token(1200);
    scene.at(8.0).ticks();
    assert_eq!((scene.starts(0), scene.alarm()), (None, None));
}

#[test]
fn waiters_are_told_that_there_is_no_thread() {
    let mut scene = Scene::new(1.0);
    scene.asks();
    scene.is_not_started();
    let told = |output: &_| {
        matches!(
            output,
            Output::Finish { entry: 0, outcome: Outcome::Fail(Reason::NotMade(Trouble::NoThread)) }
        )
    };
    assert!(scene.has_output(told));
    // The same for a fetch that has begun and cannot continue.
    scene.asks();
    scene.begins();
    scene.attempt_fails(failure(Class::Transient));
    scene.at(0.25).is_not_started();
    assert!(scene.has_output(told));
    assert_eq!(scene.core.counters(0).failures, 0);
    assert_eq!(scene.asks(), Later(1.0));
    assert_eq!(
        scene.asks_again(&PATIENT, Some(Waited { failed: true, ..Waited::default() })),
        Fails(Trouble::AlreadyReported)
    );
}

#[test]
fn a_thread_that_comes_too_early_waits_again() {
    let mut scene = Scene::new(1.0);
    scene.asks();
    scene.begins();
    assert_eq!(scene.attempt_fails(failure(Class::Transient)), Some(0.25));
    assert_eq!(scene.at(0.2).goes_on().goes_on_at(), Some(0.25));
    assert!(scene.sends().is_none());
    scene.at(0.25).begins();
}

#[test]
fn time_does_not_go_back() {
    let mut scene = Scene::with_token(0.0, 8);
    assert_eq!(scene.at(8.0).asks(), WaitsAndStarted);
    // Another thread read the clock earlier but came later.
    scene.now = second(7.0);
    assert_eq!(scene.asks(), Waits);
    scene.begins();
    scene.at(15.0).receives_token(8);
    assert_eq!(scene.at(15.999).state(), State::Hard, "it was requested at second 8");
}

#[test]
fn input_for_another_stage_of_a_fetch_changes_nothing() {
    let mut scene = Scene::new(1.0);
    scene.asks();
    let (flight, source, granted) = (
        scene.flight(),
        scene.source,
        Granted { lifetime: Duration::from_secs(8), same_value: false },
    );
    let status = scene.status(Some(Ok(scene.pair())));
    let queued = [
        Input::Answered { flight, answer: Ok(granted), source },
        Input::Saved { flight, granted },
        Input::Looked { flight, record: None, status: status.clone() },
        Input::LockTried { flight, lock: Lock::Taken },
        Input::Announced { flight, status: status.clone() },
    ];
    for input in queued.clone() {
        assert!(scene.step(input).is_empty());
    }
    scene.begins();
    let error = Trouble::NoThread;
    let sending = [Input::ThreadReady { flight, status }, Input::NotStarted { flight, error }];
    for input in queued.into_iter().skip(1).chain(sending) {
        assert!(scene.step(input).is_empty());
    }
    assert!(scene.receives_token(8));
}
