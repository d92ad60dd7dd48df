//! What affects more than one fetch: refusals, rate limits, refused logins and the budget, and how
//! each of them ends.

use super::*;
use std::sync::Arc;

pub(super) fn rate_limited_for(seconds: u64) -> Failure<Trouble> {
    Failure { retry_after: Some(Duration::from_secs(seconds)), ..failure(Class::RateLimited) }
}

/// Sets what the process knows of logins to the proxy.
fn refuse_logins(scene: &mut Scene, until: Option<f64>) {
    scene.env.refused_login = until.map(second);
}

#[test]
fn a_refused_proxy_login_blocks_every_entry_whatever_happens_to_the_client() {
    let mut scene = Scene::kept_warm(1.0);
    refuse_logins(&mut scene, Some(1800.0));
    scene.fails_one_fetch(failure(Class::LoginRefused));
    assert_eq!(scene.at(100.0).asks(), Fails(Trouble::Proxy));
    assert_eq!(scene.is_told_to_wait(), 1700.0);
    assert_eq!(scene.rotates().asks(), Fails(Trouble::Proxy));
    assert_eq!(scene.wakes().on(1).asks(), Fails(Trouble::Proxy));
    // Kept warm, it checks every minute whether another client's login was accepted, and starts
    // nothing.
    assert_eq!(scene.ticks().alarm(), Some(160.0));
    refuse_logins(&mut scene, None);
    assert_eq!(scene.asks(), WaitsAndStarted);
    scene.begins();
    assert_eq!(scene.max_attempts(), 3, "it was not the endpoint that failed");
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
    assert_eq!(scene.at(1200.0).asks(), Fails(Trouble::Proxy));
    // Another client's login was accepted.
    refuse_logins(&mut scene, None);
    assert_eq!(scene.asks(), WaitsAndStarted);
}

#[test]
fn another_entrys_rate_limit_is_reported_as_remembered() {
    let mut scene = Scene::new(1.0);
    scene.fails_one_fetch(rate_limited_for(100));
    assert_eq!(scene.on(1).at(10.0).asks(), Fails(Trouble::RateLimited));
    let obstacle = |output: &_| {
        matches!(output, Output::Fail(Reason::Blocked { obstacle: Obstacle::Remembered(_), .. }))
    };
    assert!(scene.has_output(obstacle));
    assert_eq!(scene.is_told_to_wait(), 90.0);
}

#[test]
fn a_refused_scope_is_remembered_for_a_minute_doubling_to_ten_then_probed_once() {
    let mut scene = Scene::new(1.0);
    scene.fails_one_fetch(failure(Class::Terminal));
    assert_eq!(scene.at(59.999).asks(), Fails(Trouble::InvalidScope));
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
    scene.at(900.0).fails_one_fetch(failure(Class::Terminal));
    assert_eq!(scene.at(959.999).asks(), Served);
    assert_eq!(scene.at(960.0).asks(), ServedAndStarted);
}

#[test]
fn refused_credentials_block_all_entries_until_they_change() {
    let mut scene = Scene::new(1.0);
    scene.on(1).gets(8);
    scene.on(0).fails_one_fetch(failure(Class::Refused));
    for entry in [0, 2] {
        assert_eq!(scene.on(entry).at(4.0).asks(), Fails(Trouble::InvalidClient));
    }
    assert_eq!(scene.on(1).asks(), Served, "its token is valid");
    assert_eq!(scene.at(8.0).asks(), Fails(Trouble::InvalidClient));
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
    scene.on(0).fails_one_fetch(failure(Class::Refused));
    assert_eq!(scene.on(2).asks(), Fails(Trouble::InvalidClient));
    scene.on(1).receives_token(1200);
    assert_eq!(scene.on(2).asks(), WaitsAndStarted);
}

/// Ways in which a probe of a refusal never gets to send its request.
const NOT_MADE: [fn(&mut Scene); 3] = [Scene::is_not_started, Scene::is_withdrawn, |scene| {
    assert_eq!(scene.leaves().goes_on().sends(), None);
}];

#[test]
fn a_probe_that_was_not_made_lets_the_next_caller_probe() {
    for is_not_made in NOT_MADE {
        let mut scene = Scene::new(0.0);
        scene.fails_one_fetch(failure(Class::Refused));
        assert_eq!(scene.at(59.999).asks(), Fails(Trouble::InvalidClient));
        assert_eq!(scene.at(60.0).asks(), WaitsAndStarted);
        assert_eq!(scene.on(1).asks(), Fails(Trouble::InvalidClient), "one probes for all");
        is_not_made(scene.on(0));
        assert_eq!(scene.on(1).asks(), WaitsAndStarted);
        assert_eq!(scene.on(0).asks(), Fails(Trouble::InvalidClient), "one probes for all");
    }
}

#[test]
fn readers_of_all_entries_are_told_that_a_probe_was_not_made() {
    for is_not_made in NOT_MADE {
        let mut scene = Scene::new(0.0);
        scene.on(1).gets(1200);
        scene.on(0).at(839.0).fails_one_fetch(failure(Class::Refused));
        assert_eq!(scene.at(900.0).asks(), WaitsAndStarted);
        assert_eq!(scene.on(1).asks(), Served);
        assert_eq!(scene.serves_until(), 915.0, "until then they need not ask");
        is_not_made(scene.on(0));
        assert_eq!(scene.on(1).serves_until(), 0.0);
        assert_eq!(scene.asks(), ServedAndStarted);
    }
}

#[test]
fn the_longest_of_two_retry_afters_binds() {
    let mut scene = Scene::new(1.0);
    scene.on(1).asks();
    scene.begins();
    scene.on(0).fails_one_fetch(rate_limited_for(100));
    assert_eq!(scene.on(1).attempt_fails(rate_limited_for(10)), Some(10.0));
    assert_eq!(scene.on(2).at(99.999).asks(), Fails(Trouble::RateLimited));
    assert_eq!(scene.at(100.0).asks(), WaitsAndStarted);
}

#[test]
fn a_retry_after_binds_every_entry_and_nothing_shortens_it() {
    let mut scene = Scene::new(1.0);
    scene.on(1).gets(8);
    scene.on(0).fails_one_fetch(rate_limited_for(100));
    scene.at(4.0).wakes();
    scene.rotates();
    scene.forks();
    assert_eq!(scene.asks(), Fails(Trouble::RateLimited));
    assert_eq!(scene.on(2).asks(), Fails(Trouble::RateLimited));
    assert_eq!(scene.on(1).asks(), Served);
    assert_eq!(scene.at(99.999).asks(), Fails(Trouble::RateLimited));
    assert_eq!(scene.at(100.0).asks(), WaitsAndStarted);
}

#[test]
fn a_retry_after_binds_from_the_attempt_that_received_it() {
    let mut scene = Scene::new(1.0);
    scene.asks();
    scene.begins();
    assert_eq!(scene.attempt_fails(rate_limited_for(5)), Some(5.0));
    assert_eq!(scene.on(1).asks(), Fails(Trouble::RateLimited));
    assert_eq!(scene.on(0).asks(), Waits, "its fetch is still in progress");
}

#[test]
fn a_running_fetch_waits_out_anothers_retry_after_or_ends_with_it() {
    for (wait, goes_on_at) in [(5, Some(5.0)), (100, None)] {
        let mut scene = Scene::new(1.0);
        scene.on(1).asks();
        scene.on(0).asks();
        scene.begins();
        scene.attempt_fails(rate_limited_for(wait));
        assert_eq!(scene.on(1).goes_on().sends(), None);
        assert_eq!(scene.goes_on_at(), goes_on_at);
        let ends = |output: &_| {
            matches!(
                output,
                Output::Finish { entry: 1, outcome: Outcome::Fail(Reason::Blocked { .. }) }
            )
        };
        assert_eq!(scene.has_output(ends), goes_on_at.is_none());
        assert_eq!(scene.core.counters(1).failures, 0, "it did not fail");
    }
}

#[test]
fn a_pause_between_attempts_after_a_rate_limit_binds_the_whole_client() {
    for told in [failure(Class::RateLimited), rate_limited_for(0)] {
        let mut scene = Scene::new(1.0);
        scene.on(1).asks();
        scene.on(0).asks();
        scene.begins();
        assert_eq!(scene.attempt_fails(told), Some(0.25));
        assert_eq!(scene.on(2).at(0.249).asks(), Fails(Trouble::RateLimited), "no fetch starts");
        assert_eq!(scene.on(1).goes_on().sends(), None, "and none that runs sends anything");
        assert_eq!(scene.goes_on_at(), Some(0.25));
        scene.at(0.25).begins();
        assert_eq!(scene.on(2).asks(), WaitsAndStarted);
    }
}

#[test]
fn a_rate_limit_without_a_wait_pauses_the_whole_client() {
    let mut scene = Scene::new(1.0);
    scene.asks();
    scene.begins();
    assert_eq!(scene.attempt_fails(failure(Class::RateLimited)), Some(0.25));
    scene.at(0.25).begins();
    assert_eq!(scene.attempt_fails(failure(Class::RateLimited)), Some(0.75));
    scene.at(0.75).begins();
    scene.fails(failure(Class::RateLimited));
    assert_eq!(scene.on(1).at(1.749).asks(), Fails(Trouble::RateLimited));
    assert_eq!(scene.at(1.75).asks(), WaitsAndStarted);
}

#[test]
fn beyond_the_budget_callers_get_the_valid_token_or_an_error() {
    let mut scene = Scene::with_budget(0.0, 2);
    scene.gets(1200);
    scene.at(870.0).on(1).gets(8);
    scene.at(876.0).gets(8);
    assert_eq!(scene.on(0).at(900.0).asks(), Served);
    assert_eq!(scene.on(2).asks(), Fails(Trouble::Budget));
    assert_eq!(scene.at(930.0).asks(), WaitsAndStarted);
}

#[test]
fn an_exhausted_budget_is_reported_once_a_minute() {
    let mut scene = Scene::with_budget(0.0, 1);
    let notifies = |scene: &Scene| scene.notifies(|notice| matches!(notice, Notice::Budget { .. }));
    scene.gets(1200);
    scene.on(1);
    for (second, is_told) in [(0.0, true), (0.1, false), (59.999, false), (60.0, false)] {
        assert_eq!(scene.at(second).asks() == Fails(Trouble::Budget), second < 60.0);
        assert_eq!(notifies(&scene), is_told, "at {second} s");
    }
    scene.begins();
    scene.receives_token(8);
    // The caller is served and notices nothing; an event reports it.
    assert_eq!(scene.at(66.0).asks(), Served);
    assert!(notifies(&scene));
    // A running fetch that finds the budget used up ends.
    scene.on(2).at(120.0).asks();
    assert_eq!(scene.on(1).asks(), WaitsAndStarted);
    scene.begins();
    scene.on(2).goes_on();
    assert!(!notifies(&scene), "six seconds are left of that minute");
    assert_eq!(scene.entries[2].fetch, None);
    assert_eq!(scene.at(126.0).asks(), Fails(Trouble::Budget));
    assert!(notifies(&scene));
}

#[test]
fn scheduling_a_renewal_does_not_forget_the_budget() {
    let mut settings = scene::settings();
    settings.keep_warm = true;
    Arc::make_mut(&mut settings.policy).max_requests_per_minute = 1;
    let mut scene = Scene::set_to(settings, 0.0);
    scene.gets(1200);
    assert_eq!(scene.alarm(), Some(900.0));
    assert_eq!(scene.on(1).asks(), Fails(Trouble::Budget));
}

#[test]
fn waking_allows_one_probe_of_a_refusal() {
    let mut scene = Scene::new(1.0);
    scene.fails_one_fetch(failure(Class::Terminal));
    scene.on(1).fails_one_fetch(failure(Class::Refused));
    scene.at(10.0).wakes();
    assert_eq!(scene.asks(), WaitsAndStarted);
    scene.begins();
    scene.fails(failure(Class::Refused));
    assert_eq!(scene.on(0).at(129.999).asks(), Fails(Trouble::InvalidClient));
    scene.at(130.0).fails_one_fetch(failure(Class::Terminal));
    assert_eq!(scene.at(249.999).asks(), Fails(Trouble::InvalidScope));
}

#[test]
fn new_credentials_end_refusals_and_pauses_but_not_the_spacing() {
    let mut scene = Scene::new(1.0);
    scene.fails_one_fetch(failure(Class::Terminal));
    scene.rotates();
    assert_eq!(scene.at(0.5).asks(), Later(1.0));
    scene.at(1.0).fails_one_fetch(failure(Class::Terminal));
    assert_eq!(scene.at(60.999).asks(), Fails(Trouble::InvalidScope), "a minute, not two");
    assert_eq!(scene.at(61.0).asks(), WaitsAndStarted);
}

#[test]
fn news_of_older_credentials_changes_nothing() {
    let mut scene = Scene::new(1.0);
    scene.rotates().rotates();
    scene.fails_one_fetch(failure(Class::Refused));
    let blocked = scene.is_blocked_for();
    assert!(blocked > 30.0);
    let version = scene.source.version - 1;
    scene.step(Input::CredentialsLate { refused: false, version: Some(version) });
    assert_eq!(scene.is_blocked_for(), blocked);
    scene.rotates();
    // The second between two fetches is left.
    assert!(scene.is_blocked_for() <= 1.0);
}
