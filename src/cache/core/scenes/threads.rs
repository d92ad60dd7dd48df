//! Who is given a thread first, and what becomes of a fetch that gets none.

use super::*;

#[test]
fn whoever_is_waited_for_comes_first_and_what_has_begun_before_all() {
    let mut scene = Scene::with_token(1.0, 8);
    assert_eq!(scene.at(4.0).asks(), ServedAndStarted);
    assert_eq!(scene.starts(0), Some(Rank::Background));
    scene.on(1).asks_for(&AT_ONCE);
    assert_eq!(scene.starts(1), Some(Rank::Background));
    scene.on(2).asks();
    assert_eq!(scene.starts(2), Some(Rank::Awaited));
    scene.waits_for_credentials();
    let (ticket, _) = scene.asks_source().unwrap();
    scene.are_read(false, ticket);
    assert_eq!(scene.released(), [(scene.flight(), Brings::Credentials)]);
}

#[test]
fn a_fetch_in_the_queue_is_hastened_once_somebody_waits_for_it() {
    let mut scene = Scene::new(0.0);
    assert_eq!(scene.asks_for(&AT_ONCE), FailsAndStarted(Trouble::Pending));
    let flight = scene.flight();
    let hastens = |output: &_| matches!(output, Output::Hasten { flight: of } if *of == flight);
    assert_eq!(scene.asks_for(&AT_ONCE), Fails(Trouble::Pending));
    assert!(!scene.says(hastens), "it does not wait");
    assert_eq!(scene.asks(), Waits);
    assert!(scene.says(hastens));
    assert_eq!(scene.asks(), Waits);
    assert!(!scene.says(hastens), "once is enough");
    // It was started for nobody, so that nobody's leaving ends it.
    scene.leaves().begins();
}

/// A client whose token has been refused, so that the next fetch may start at second 1.
fn refused_at_once() -> Scene {
    let mut scene = Scene::with_token(0.0, 8);
    assert!(scene.at(0.2).is_invalidated());
    scene
}

#[test]
fn what_is_owed_to_a_caller_that_does_not_wait_starts_in_its_time() {
    let mut scene = refused_at_once();
    assert_eq!(scene.asks_for(&AT_ONCE), Fails(Trouble::Pending));
    assert_eq!(scene.alarm(), Some(1.0));
    scene.at(0.9).is_looked_at();
    assert_eq!((scene.starts(0), scene.alarm()), (None, Some(1.0)), "an alarm may come too early");
    scene.at(1.0).is_looked_at();
    assert_eq!((scene.starts(0), scene.alarm()), (Some(Rank::Background), None));
    scene.begins();
    scene.brings(8);
    assert_eq!(scene.asks_for(&AT_ONCE), Served);
}

#[test]
fn without_a_thread_a_start_is_owed_still() {
    let mut scene = refused_at_once();
    scene.asks_for(&AT_ONCE);
    for (then, next) in [(1.0, 2.0), (2.0, 4.0), (4.0, 8.0)] {
        assert!(scene.at(then).is_looked_at().starts(0).is_some());
        scene.is_not_started();
        assert_eq!((scene.starts(0), scene.alarm()), (None, Some(next)));
    }
    // Somebody else starts one: nothing is owed any more.
    assert_eq!(scene.at(5.0).asks(), WaitsAndStarted);
    scene.begins();
    scene.brings(1200);
    scene.at(8.0).is_looked_at();
    assert_eq!((scene.starts(0), scene.alarm()), (None, None));
}

#[test]
fn whoever_waits_for_a_fetch_without_a_thread_is_told_so() {
    let mut scene = Scene::new(1.0);
    scene.asks();
    scene.is_not_started();
    let told = |output: &_| {
        matches!(
            output,
            Output::Finish { entry: 0, outcome: Outcome::Fail(Reason::NotMade(Trouble::NoThread)) }
        )
    };
    assert!(scene.says(told));
    // The same for one that has begun, and cannot go on.
    scene.asks();
    scene.begins();
    scene.attempt_fails(failure(Class::Transient));
    scene.at(0.25).is_not_started();
    assert!(scene.says(told));
    assert_eq!(scene.core.counters(0).failures, 0);
    assert_eq!(scene.asks(), Later(1.0));
    assert_eq!(
        scene.asks_again(&PATIENT, Some(Waited { failed: true, ..Waited::default() })),
        Fails(Trouble::AsTold)
    );
}

#[test]
fn a_thread_that_comes_too_early_comes_once_more() {
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
    // Another thread had looked at the clock before, and came later.
    scene.now = second(7.0);
    assert_eq!(scene.asks(), Waits);
    scene.begins();
    scene.at(15.0).brings(8);
    assert_eq!(scene.at(15.999).state(), State::Hard, "it was asked for at second 8");
}

#[test]
fn what_is_said_of_a_fetch_at_another_stage_changes_nothing() {
    let mut scene = Scene::new(1.0);
    scene.asks();
    let (flight, source, granted) = (
        scene.flight(),
        scene.source,
        Granted { lifetime: Duration::from_secs(8), same_value: false },
    );
    let hand = scene.hand(Some(Ok(scene.pair())));
    let queued = [
        Input::Answered { flight, answer: Ok(granted), source },
        Input::Saved { flight, granted },
        Input::Looked { flight, record: None, hand: hand.clone() },
        Input::LockTried { flight, lock: Lock::Taken },
        Input::Announced { flight, hand: hand.clone() },
    ];
    for input in queued.clone() {
        assert!(scene.step(input).is_empty());
    }
    scene.begins();
    let error = Trouble::NoThread;
    let sending = [Input::ThreadReady { flight, hand }, Input::NotStarted { flight, error }];
    for input in queued.into_iter().skip(1).chain(sending) {
        assert!(scene.step(input).is_empty());
    }
    assert!(scene.brings(8));
}
