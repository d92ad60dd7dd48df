//! What happens exactly at a limit or late after it, what is counted, and what continues although no fetch waits for
//! it.

use super::*;

#[test]
fn an_alarm_that_fires_late_renews_as_well() {
    let mut scene = Scene::kept_warm(0.0);
    scene.gets(1200);
    assert_eq!(scene.alarm(), Some(900.0));
    scene.at(905.0).ticks();
    assert_eq!(scene.starts(0), Some(Rank::Background));
}

#[test]
fn after_exactly_a_day_without_a_caller_an_entry_is_no_longer_renewed() {
    const DAY: f64 = 86_400.0;
    for (second, is_renewed) in [(DAY - 0.001, true), (DAY, false)] {
        let mut scene = Scene::kept_warm(0.0);
        scene.gets(1200);
        scene.at(second).ticks();
        assert_eq!(scene.starts(0).is_some(), is_renewed, "{second}");
    }
}

#[test]
fn a_token_is_doubted_if_it_is_refused_less_than_a_minute_after_its_fetch() {
    for (second, is_doubted) in [(59.999, true), (60.0, false)] {
        let mut scene = Scene::with_token(0.0, 1200);
        assert!(scene.at(second).is_invalidated());
        let doubts = scene.notifies(|notice| matches!(notice, Notice::FreshTokenRefused));
        assert_eq!(doubts, is_doubted, "{second}");
    }
}

#[test]
fn waits_and_renewals_are_counted_and_fetches_are_timed() {
    let mut scene = Scene::new(0.0);
    scene.asks();
    scene.asks();
    scene.begins();
    assert!(scene.at(2.0).receives_token(1200));
    let counted = |scene: &Scene| {
        let counters = scene.core.counters(0);
        (counters.waits, counters.renewals, counters.last_fetch.as_secs_f64())
    };
    assert_eq!(counted(&scene), (2, 0, 2.0));
    for (second, renewals) in [(1000.0, 1), (2000.0, 2)] {
        assert_eq!(scene.at(second).asks(), ServedAndStarted);
        scene.begins();
        assert!(scene.at(second + 1.0).receives_token(1200));
        assert_eq!(counted(&scene), (2, renewals, 1.0));
    }
}

#[test]
fn entries_are_numbered_in_order_and_a_client_is_closed_once_it_was() {
    let mut core = Core::<Trouble>::new(scene::settings(), 0);
    assert_eq!([0; 3].map(|_| core.add_entry(scene::START)), [0, 1, 2]);
    let mut scene = Scene::new(0.0);
    assert!(!scene.core.is_closed());
    scene.step(Input::Close);
    assert!(scene.core.is_closed());
}

#[test]
fn a_read_that_no_fetch_waits_for_is_used_but_not_repeated() {
    let mut scene = Scene::new(1.0);
    scene.from(SourceKind::Function).asks();
    scene.waits_for_credentials();
    let (ticket, _) = scene.asks_source().unwrap();
    // The fetch no longer waits for it.
    scene.rotates();
    assert!(scene.core.wants_read(false, ticket), "no later one has ended");
    assert_eq!(scene.at(5.0).wakes().asks_source(), None);
}

#[test]
fn a_fetch_waits_for_a_source_that_has_just_been_set() {
    let mut scene = Scene::new(1.0);
    scene.rotates().from(SourceKind::Function).asks();
    scene.waits_for_credentials();
}

#[test]
fn only_a_refusal_is_outdated_by_other_credentials() {
    let mut scene = Scene::new(1.0);
    scene.asks();
    scene.begins();
    scene.rotates();
    assert_eq!(scene.attempt_fails(failure(Class::Transient)), Some(0.25), "the usual pause");
}

#[test]
fn a_login_that_the_proxy_refuses_is_no_failure_of_the_entry() {
    let mut scene = Scene::new(1.0);
    scene.fails_one_fetch(failure(Class::LoginRefused));
    assert_eq!(scene.at(1.0).asks(), WaitsAndStarted, "only the spacing of requests remains");
}

#[test]
fn waiters_get_the_current_token_if_the_fetched_one_ends_before_it() {
    let mut scene = Scene::with_token(0.0, 1200);
    assert_eq!(scene.at(1000.0).asks_for(&min_ttl(500)), WaitsTillAndStarted(1100.0));
    scene.begins();
    scene.receives_token(100);
    assert!(
        scene.has_output(|output| matches!(output, Output::Finish { outcome: Outcome::Token, .. }))
    );
}

#[test]
fn waiters_of_a_later_fetch_get_the_token_of_one_that_was_given_up() {
    let mut scene = Scene::new(0.0);
    scene.asks();
    scene.begins();
    let late = scene.flight();
    assert_eq!(scene.at(60.0).is_given_up(), Some(GivenUp::Overrun));
    assert_eq!(scene.at(90.0).asks(), WaitsAndStarted);
    assert!(scene.arrives(late, Duration::from_secs(1200), false));
    assert!(
        scene.has_output(|output| matches!(output, Output::Finish { outcome: Outcome::Token, .. }))
    );
}

#[test]
fn a_caller_is_told_of_pending_credentials_only_if_there_are() {
    let mut scene = Scene::new(1.0);
    scene.asks_for(&AT_ONCE);
    let is_told =
        |output: &_| matches!(output, Output::Fail(Reason::Pending { credentials_pending: false }));
    assert!(scene.has_output(is_told), "{:?}", scene.outputs);
}

#[test]
fn the_endpoints_own_token_is_used_in_its_hard_window() {
    let mut scene = Scene::new(0.0);
    scene.asks();
    scene.begins();
    assert!(scene.at(9.99).receives_token(10));
    assert!(
        scene.has_output(|output| matches!(output, Output::Finish { outcome: Outcome::Token, .. }))
    );
}

#[test]
fn steps_and_attempts_are_numbered() {
    let mut scene = Scene::new(1.0);
    let mut number = || scene.core.handle(scene.now, &mut scene.env, Input::Wake).step;
    assert_eq!(number() + 1, number());
    scene.asks();
    scene.begins();
    assert_eq!(scene.attempt_fails(failure(Class::Transient)), Some(0.25));
    scene.at(0.25).begins();
    scene.receives_token(1200);
    assert!(scene.notifies(|notice| matches!(notice, Notice::Succeeded { attempt: 2, .. })));
}
