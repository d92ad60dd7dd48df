//! What a client does without a caller, and what happens to it as a whole.

use super::*;

#[test]
fn an_entry_kept_warm_is_renewed_by_its_alarm() {
    let mut scene = Scene::kept_warm(0.0);
    scene.gets(1200);
    assert_eq!(scene.alarm(), Some(900.0));
    assert_eq!(scene.at(899.0).ticks().alarm(), Some(900.0), "an alarm may fire early");
    scene.at(900.0).ticks();
    assert_eq!((scene.starts(0), scene.alarm()), (Some(Rank::Background), Some(915.5)));
    scene.at(910.0).begins();
    assert_eq!(scene.at(915.5).ticks().alarm(), Some(925.5), "when it is given up");
    assert_eq!(scene.at(925.5).is_given_up(), Some(GivenUp::Overrun));
    assert_eq!((scene.starts(0), scene.alarm()), (None, Some(928.0)));
    scene.at(928.0).ticks().begins();
    scene.receives_token(1200);
    assert_eq!(scene.alarm(), Some(1828.0));
}

#[test]
fn a_refused_token_is_renewed_at_once_if_it_is_kept_warm() {
    let mut scene = Scene::kept_warm(0.0);
    scene.gets(1200);
    assert!(scene.at(10.0).is_invalidated());
    assert_eq!(scene.starts(0), Some(Rank::Background));
    let doubts =
        |scene: &Scene| scene.notifies(|notice| matches!(notice, Notice::FreshTokenRefused));
    assert!(doubts(&scene), "it had just been fetched");
    scene.begins();
    scene.receives_token(1200);
    assert!(scene.at(20.0).is_invalidated() && !doubts(&scene), "reported once");
    // Without `keep_warm`, the next caller starts the fetch.
    let mut cold = Scene::with_token(0.0, 1200);
    assert!(cold.at(61.0).is_invalidated() && !doubts(&cold));
    assert_eq!((cold.starts(0), cold.alarm()), (None, None));
}

#[test]
fn an_entry_unused_for_a_day_is_no_longer_renewed_except_the_clients_own() {
    const DAY: f64 = 86_400.0;
    let mut scene =
        Scene::set_to(Settings { keep_warm: true, own: Some(1), ..scene::settings() }, 0.0);
    scene.gets(1200);
    scene.on(1).ticks();
    assert_eq!(scene.starts(1), Some(Rank::Background), "it is fetched before the first call");
    scene.begins();
    scene.receives_token(1200);
    for (second, wanted) in [(DAY - 1.0, [true, true]), (DAY + 2000.0, [false, true])] {
        for (entry, wanted) in wanted.into_iter().enumerate() {
            scene.on(entry).at(second).ticks();
            assert_eq!(scene.starts(entry).is_some(), wanted, "{entry} at {second} s");
            assert_eq!(scene.alarm().is_some(), wanted);
            if wanted {
                scene.begins();
                scene.receives_token(1200);
            }
        }
    }
    assert_eq!(scene.on(0).asks(), WaitsAndStarted);
    scene.begins();
    scene.receives_token(1200);
    assert!(scene.alarm().is_some(), "a call makes it warm again");
}

#[test]
fn the_end_of_a_refusal_lets_every_entry_be_kept_warm_again() {
    let mut scene = Scene::kept_warm(0.0);
    scene.gets(1200);
    scene.on(1).fails_one_fetch(failure(Class::Refused));
    assert_eq!(scene.on(0).at(900.0).ticks().alarm(), None);
    scene.on(1).gets(1200);
    assert_eq!(scene.starts(0), Some(Rank::Background));
    // New credentials end it as well.
    scene.on(0).begins();
    scene.fails(failure(Class::Refused));
    assert_eq!(scene.at(901.0).ticks().starts(0), None);
    assert_eq!(scene.rotates().starts(0), Some(Rank::Background));
}

#[test]
fn waking_ends_pauses_but_no_retry_after() {
    let mut scene = Scene::new(1.0);
    scene.asks();
    scene.begins();
    assert_eq!(scene.attempt_fails(failure(Class::Transient)), Some(0.25));
    let flight = scene.flight();
    assert_eq!(scene.at(0.1).wakes().released(), [(flight, ResumeWith::Nothing)]);
    scene.begins();
    assert!(scene.at(0.25).goes_on().outputs.is_empty(), "its timer finds it sending");
    assert_eq!(scene.attempt_fails(refusals::rate_limited_for(5)), Some(5.25));
    assert_eq!(scene.at(1.0).wakes().released(), [(flight, ResumeWith::Nothing)]);
    assert_eq!(scene.goes_on().sends(), None);
    assert_eq!(scene.goes_on_at(), Some(5.25));
    assert_eq!(scene.at(5.0).wakes().released(), [(flight, ResumeWith::Nothing)]);
    scene.at(5.25).begins();
}

#[test]
fn waking_asks_a_hung_source_again() {
    let mut scene = Scene::new(1.0);
    scene.from(SourceKind::Function).asks();
    scene.waits_for_credentials();
    assert_eq!(scene.at(0.5).wakes().asks_source(), None, "it was asked just now");
    assert!(matches!(scene.at(1.0).wakes().asks_source(), Some((_, true))));
}

#[test]
fn a_forked_child_has_nothing_that_waits_or_fetches() {
    let mut scene = Scene::new(1.0);
    scene.from(SourceKind::Function);
    let flights = [0, 1, 2].map(|entry| {
        scene.on(entry).asks();
        scene.flight()
    });
    scene.on(0).begins();
    scene.on(1).waits_for_credentials();
    assert_eq!(scene.asks_source(), Some((1, false)));
    scene.forks();
    assert!(flights.iter().all(|flight| scene.core.entry_of(*flight).is_none()));
    assert!(!scene.core.is_being_read(1));
    scene.answers(flights[0], Err(failure(Class::Refused)));
    assert!(scene.outputs.is_empty());
    assert_eq!(scene.on(2).asks(), WaitsAndStarted);
    scene.waits_for_credentials();
    assert!(matches!(scene.asks_source(), Some((_, false))), "the parent's read is not joined");
    assert_eq!(scene.on(0).asks(), Later(1.0), "the time of the last request is kept");
}

#[test]
fn promises_to_the_parents_callers_end_at_the_fork() {
    let mut scene = Scene::with_token(0.0, 8);
    assert!(scene.is_invalidated());
    assert_eq!(scene.asks_for(&AT_ONCE), Fails(Trouble::Pending));
    scene.forks();
    assert_eq!(scene.at(1.0).ticks().starts(0), None);
}

#[test]
fn a_close_as_a_childs_first_use_starts_nothing() {
    let mut scene = Scene::kept_warm(1.0);
    scene.gets(1200);
    scene.at(950.0).step(Input::Close);
    scene.forks();
    let does_something = |output: &_| matches!(output, Output::Start { .. } | Output::Alarm { .. });
    assert!(!scene.has_output(does_something), "{:?}", scene.outputs);
}

#[test]
fn a_closed_client_does_nothing_more() {
    let mut scene = Scene::kept_warm(1.0);
    scene.gets(1200);
    scene.on(1).asks();
    scene.begins();
    let flight = scene.flight();
    scene.step(Input::Close);
    let clears = scene.outputs.iter().filter(|output| matches!(output, Output::Clear { .. }));
    assert_eq!(clears.count(), 3);
    assert!(scene.core.is_closed() && scene.core.entry_of(flight).is_none());
    for input in [
        Input::Tick { entry: 0 },
        Input::Invalidate { entry: 0, serial: scene.entries[0].serial },
        Input::Rotated { version: 9 },
        Input::Wake,
        Input::LookAtFiles,
    ] {
        assert!(scene.at(700.0).step(input).is_empty());
    }
    scene.answers(flight, Err(failure(Class::Refused)));
    assert!(scene.outputs.is_empty());
    for waited in [None, Some(Waited { failed: true, ..Waited::default() })] {
        assert_eq!(scene.on(0).asks_again(&PATIENT, waited), Fails(Trouble::Closed));
    }
}
