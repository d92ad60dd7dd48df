//! The life of a token and of its fetches when nothing goes wrong.

use super::*;

#[test]
fn a_token_ages_from_fresh_to_expired() {
    use State::{Expired, Fresh, Hard, Soft};
    let lives = [
        (1200, 0.0, [(899.999, Fresh), (900.0, Soft), (1169.999, Soft), (1170.0, Hard)]),
        (1200, 1.0, [(599.999, Fresh), (600.0, Soft), (1169.999, Soft), (1170.0, Hard)]),
        (8, 0.0, [(5.999, Fresh), (6.0, Soft), (7.199, Soft), (7.2, Hard)]),
        (8, 1.0, [(3.999, Fresh), (4.0, Soft), (7.199, Soft), (7.2, Hard)]),
    ];
    for (lifetime, chance, moments) in lives {
        let mut scene = Scene::new(chance);
        assert_eq!(scene.state(), State::Empty);
        scene.gets(lifetime);
        let end = lifetime as f64;
        for (second, state) in moments.into_iter().chain([(end - 0.001, Hard), (end, Expired)]) {
            assert_eq!(scene.at(second).state(), state, "{lifetime} s, at {second} s");
        }
    }
}

#[test]
fn a_token_lives_from_before_its_request() {
    let mut scene = Scene::new(0.0);
    scene.asks();
    scene.at(3.0).begins();
    scene.at(9.0).receives_token(1200);
    assert_eq!(scene.at(1202.999).state(), State::Hard);
    assert_eq!(scene.at(1203.0).state(), State::Expired);
}

#[test]
fn callers_on_a_cold_entry_share_one_fetch() {
    let mut scene = Scene::new(0.0);
    assert_eq!(scene.asks(), WaitsAndStarted);
    assert_eq!(scene.asks(), Waits);
    scene.at(0.1).begins();
    assert_eq!(scene.at(0.2).asks(), Waits);
    assert_eq!(scene.asks_for(&AT_ONCE), Fails(Trouble::Pending));
    scene.at(0.5).receives_token(1200);
    assert_eq!(scene.asks(), Served);
}

#[test]
fn a_caller_that_cannot_wait_starts_the_fetch_all_the_same() {
    let mut scene = Scene::new(0.0);
    assert_eq!(scene.asks_for(&AT_ONCE), FailsAndStarted(Trouble::Pending));
    assert_eq!(scene.starts(0), Some(Rank::Background));
    scene.begins();
}

#[test]
fn exactly_one_background_fetch_runs_in_the_soft_window() {
    let mut scene = Scene::with_token(0.0, 1200);
    assert_eq!(scene.at(899.999).asks(), Served);
    assert_eq!(scene.at(900.0).asks(), ServedAndStarted);
    assert_eq!(scene.starts(0), Some(Rank::Background));
    for second in [900.0, 901.0, 1000.0] {
        assert_eq!(scene.at(second).asks(), Served);
    }
    scene.begins();
    assert_eq!(scene.at(1000.5).asks(), Served);
    scene.receives_token(1200);
    assert_eq!(scene.at(1899.999).asks(), Served);
    assert_eq!(scene.at(1900.0).asks(), ServedAndStarted);
}

#[test]
fn callers_in_the_hard_window_wait_for_half_of_what_is_left() {
    let mut scene = Scene::with_token(0.0, 1200);
    assert_eq!(scene.at(1170.0).asks(), WaitsTillAndStarted(1185.0));
    scene.begins();
    assert_eq!(scene.at(1180.0).asks(), WaitsTill(1190.0));
    assert_eq!(scene.asks_for(&AT_ONCE), Served);
    let mut scene = Scene::with_token(0.0, 1200);
    assert_eq!(scene.at(1199.0).asks(), WaitsTillAndStarted(1199.5));
    assert_eq!(scene.asks(), WaitsTill(1199.5));
    assert_eq!(scene.at(1200.0).asks(), Waits);
}

#[test]
fn a_background_fetch_becomes_awaited_by_its_first_waiter() {
    let mut scene = Scene::with_token(0.0, 8);
    assert_eq!(scene.at(6.0).asks(), ServedAndStarted);
    assert_eq!(scene.at(7.2).asks_for(&AT_ONCE), Served);
    let hastens =
        |scene: &Scene| scene.has_output(|output| matches!(output, Output::Hasten { .. }));
    assert!(!hastens(&scene));
    assert_eq!(scene.asks(), WaitsTill(7.6));
    assert!(hastens(&scene), "it may be in a queue");
    assert_eq!(scene.asks(), WaitsTill(7.6));
    assert!(!hastens(&scene), "once is enough");
}

#[test]
fn a_caller_in_the_hard_window_that_cannot_wait_is_served_and_starts_the_fetch() {
    let mut scene = Scene::with_token(0.0, 1200);
    assert_eq!(scene.at(1170.0).asks_for(&AT_ONCE), ServedAndStarted);
}

#[test]
fn an_awaited_fetch_is_dropped_if_no_caller_waits_when_its_thread_is_ready() {
    let mut scene = Scene::new(0.0);
    assert_eq!(scene.asks(), WaitsAndStarted);
    assert_eq!(scene.leaves().goes_on().sends(), None);
    assert_eq!(scene.entries[0].fetch, None);
    assert_eq!(scene.asks(), WaitsAndStarted, "a fetch that never began needs no spacing");
    scene.begins();
}

#[test]
fn a_thread_for_an_unknown_fetch_changes_nothing() {
    let mut scene = Scene::new(0.0);
    scene.asks();
    let other = scene.flight() + 100;
    scene.thread_comes(other, Some(Ok(scene.pair())));
    assert!(scene.outputs.is_empty());
    scene.begins();
}

#[test]
fn two_fetches_start_a_second_apart_though_the_token_lives_no_longer() {
    let mut scene = Scene::with_token(0.0, 1);
    assert_eq!(scene.at(0.749).asks(), Served);
    assert_eq!(scene.at(0.75).asks(), Served);
    assert_eq!(scene.at(0.95).asks(), Served);
    assert_eq!(scene.at(1.0).asks(), WaitsAndStarted);
    scene.at(1.2).begins();
    scene.at(1.3).receives_token(1);
    let serial = scene.serial();
    assert!(scene.at(1.4).is_refused(serial));
    assert_eq!(scene.asks(), Later(2.2));
    assert_eq!(scene.at(2.2).asks(), WaitsAndStarted);
}

#[test]
fn a_token_too_short_for_a_caller_is_renewed_past_a_quarter_of_its_life() {
    let mut scene = Scene::with_token(0.0, 1200);
    assert_eq!(scene.at(299.999).asks_for(&min_ttl(3600)), Served);
    assert_eq!(scene.at(300.0).asks_for(&min_ttl(900)), Served);
    assert_eq!(scene.asks_for(&min_ttl(901)), WaitsTillAndStarted(750.0));
    assert_eq!(scene.asks(), Served);
    scene.begins();
    scene.fails(failure(Class::Transient));
    assert_eq!(scene.at(301.0).asks_for(&min_ttl(3600)), Served);
}

#[test]
fn a_greedy_min_ttl_costs_four_requests_a_lifetime() {
    let mut scene = Scene::with_token(0.0, 1200);
    let mut fetches = 0;
    for second in 1..=4800 {
        if let WaitsTillAndStarted(_) = scene.at(second as f64).asks_for(&min_ttl(86_400)) {
            fetches += 1;
            scene.begins();
            scene.receives_token(1200);
        }
    }
    assert_eq!(fetches, 16);
}

#[test]
fn the_same_token_again_is_kept_until_half_of_its_rest() {
    let mut scene = Scene::with_token(0.0, 1200);
    scene.at(900.0).asks();
    scene.begins();
    assert!(!scene.receives_same_token(Duration::from_secs(300)), "it is not new");
    assert_eq!(scene.serves_until(), 1050.0);
    assert_eq!(scene.at(1049.999).asks(), Served);
    assert_eq!(scene.asks_for(&min_ttl(3600)), Served);
    assert_eq!(scene.at(1050.0).asks(), ServedAndStarted);
    scene.begins();
    scene.receives_same_token(Duration::from_secs(140));
    assert_eq!(scene.at(1124.999).asks(), Served);
    assert_eq!(scene.at(1125.0).asks(), ServedAndStarted);
    assert_eq!(scene.at(1200.0).state(), State::Expired);
}

#[test]
fn the_same_token_with_more_life_counts_as_new() {
    let mut scene = Scene::with_token(0.0, 1200);
    scene.at(900.0).asks();
    scene.begins();
    assert!(scene.receives_same_token(Duration::from_secs(1200)));
    assert_eq!(scene.at(1799.999).asks(), Served);
}

#[test]
fn only_the_current_token_can_be_invalidated_and_only_once() {
    let mut scene = Scene::with_token(0.0, 1200);
    let first = scene.serial();
    scene.at(900.0).gets(1200);
    let second = scene.serial();
    assert!(!scene.is_refused(first));
    assert_eq!(scene.asks(), Served);
    assert!(scene.is_refused(second));
    assert!(!scene.is_refused(second));
    assert_eq!((scene.state(), scene.serves_until()), (State::Empty, 0.0));
    assert_eq!(scene.at(901.0).asks(), WaitsAndStarted);
}

#[test]
fn a_forked_child_draws_its_own_jitter_and_has_no_fetch() {
    let mut scene = Scene::with_token(0.0, 1200);
    scene.at(900.0).asks();
    scene.begins();
    scene.env.chance = 1.0;
    scene.forks();
    assert_eq!(scene.core.life(0).map(|life| seconds(life.fresh_until)), Some(600.0));
    let redraws = |output: &_| matches!(output, Output::Redraw { entry: 0, fresh_until, .. } if *fresh_until == second(600.0));
    assert!(scene.has_output(redraws));
    assert_eq!(scene.at(900.5).asks(), Served, "the one-second spacing outlives the fork");
    assert_eq!(scene.at(901.0).asks(), ServedAndStarted);
    assert_eq!(scene.at(1200.0).state(), State::Expired);
}

#[test]
fn readers_need_not_ask_while_nothing_can_happen() {
    let mut scene = Scene::new(0.0);
    assert_eq!(scene.serves_until(), 0.0);
    scene.gets(1200);
    assert_eq!(scene.serves_until(), 900.0);
    assert_eq!(scene.at(900.0).serves_until(), 0.0, "the first caller starts a fetch");
    scene.asks();
    assert_eq!(scene.serves_until(), 1170.0, "it waits for a thread");
    scene.begins();
    assert_eq!(scene.serves_until(), 915.5, "it may hang");
    scene.fails(failure(Class::Transient));
    assert_eq!(scene.serves_until(), 902.5);
    assert_eq!(scene.at(1175.0).serves_until(), 0.0, "callers wait now");
    scene.at(1176.0).asks();
    scene.begins();
    scene.fails(failure(Class::Terminal));
    assert_eq!(scene.serves_until(), 1200.0, "no fetch may start before the end");
    assert_eq!(scene.at(1200.0).serves_until(), 0.0);
}

#[test]
fn readers_are_told_how_long_they_need_not_ask_after_a_give_up() {
    let mut scene = Scene::with_token(0.0, 1200);
    scene.at(900.0).asks();
    scene.begins();
    assert_eq!(scene.at(915.5).is_given_up(), Some(GivenUp::Overrun));
    assert_eq!(scene.serves_until(), 918.0, "no fetch may start before");
    assert_eq!(scene.entries[0].serve_until, second(918.0));
}

#[test]
fn a_caller_that_was_to_be_served_later_waits_on_if_the_token_is_refused_meanwhile() {
    let mut scene = Scene::with_token(0.0, 1200);
    let heard = scene.at(1180.0).asks();
    let WaitsTillAndStarted(at) = heard else { panic!("{heard:?}") };
    assert!(scene.is_invalidated());
    let waited = Waited { serve_at: Some(second(at)), failed: false };
    assert_eq!(scene.at(at).asks_again(&PATIENT, Some(waited)), Waits);
}
