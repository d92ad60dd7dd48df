//! Fetches that wait for their credentials, in scenes: whose time that is, and when it ends.

use super::*;

fn until(seconds: u64) -> Want {
    Want { until: START.after(Duration::from_secs(seconds)), ..Want::default() }
}

impl Scene {
    fn waits_for_credentials(&mut self) {
        let (id, now) = (self.flight(), self.now);
        assert!(self.entry().waits_for_credentials(id, now), "the fetch is wanted");
    }

    fn has_credentials(&mut self) -> Option<f64> {
        let (id, now) = (self.flight(), self.now);
        self.entry().goes_on(id, now).map(|waited| waited.as_secs_f64())
    }

    fn gives_up(&mut self) -> Option<GivenUp> {
        let chance = &mut || self.chance;
        self.entries[self.on].give_up(&mut self.limits, self.now, chance)
    }

    fn looks_again_at(&mut self) -> Option<f64> {
        let now = self.now;
        self.entry().look_again_at(now).map(seconds)
    }
}

#[test]
fn the_wait_takes_nothing_of_the_fetchs_own_time() {
    let mut scene = Scene::new(1.0);
    scene.asks_for(&until(600));
    let mut attempts = scene.begins();
    scene.at(5.0).waits_for_credentials();
    assert!(scene.at(500.0).gives_up().is_none());
    assert_eq!(scene.has_credentials(), Some(495.0));
    attempts.stood_still(Duration::from_secs(495));
    // Ten of its fifteen seconds are left, and the half that is granted beyond.
    assert_eq!(attempts.next(scene.now), Duration::from_secs(10));
    assert_eq!(attempts.next(START.after(Duration::from_secs(508))), Duration::from_secs(2));
    assert!(scene.at(510.499).gives_up().is_none());
    assert!(matches!(scene.at(510.5).gives_up(), Some(GivenUp::Overrun(_))));
}

#[test]
fn it_ends_with_the_last_caller_and_is_not_remembered() {
    let mut scene = Scene::new(1.0);
    scene.asks_for(&until(30));
    scene.begins();
    scene.waits_for_credentials();
    scene.at(20.0).asks_for(&until(50));
    assert!(scene.at(49.999).gives_up().is_none());
    assert!(matches!(scene.at(50.0).gives_up(), Some(GivenUp::Unread)));
    assert_eq!(scene.asks(), WaitsAndStarted, "the next caller has a new try, at once");
}

#[test]
fn callers_in_a_hurry_give_it_a_second() {
    let mut scene = Scene::new(1.0);
    scene.asks_for(&until(0));
    scene.begins();
    scene.waits_for_credentials();
    assert!(scene.at(0.999).gives_up().is_none());
    assert!(scene.at(1.0).gives_up().is_some());
    assert_eq!(scene.asks(), WaitsAndStarted);
}

#[test]
fn a_renewal_waits_longer_and_leaves_the_token_to_callers() {
    let mut scene = Scene::with_token(1.0, 1200);
    assert_eq!(scene.at(700.0).asks(), ServedAndStarted);
    scene.begins();
    scene.waits_for_credentials();
    assert_eq!(scene.at(709.0).asks(), Served);
    // Readers need not ask before it can be given up.
    assert_eq!(scene.serves_until(), 710.0);
    assert!(scene.gives_up().is_none());
    assert!(scene.at(710.0).gives_up().is_some());
    assert_eq!(scene.asks(), ServedAndStarted);
}

#[test]
fn those_who_wait_look_again_now_and_then() {
    let mut scene = Scene::new(1.0);
    scene.asks_for(&until(25));
    assert_eq!(scene.looks_again_at(), None, "it waits for a thread");
    scene.begins();
    assert_eq!(scene.looks_again_at(), Some(15.5));
    scene.waits_for_credentials();
    assert_eq!(scene.looks_again_at(), Some(10.0));
    assert_eq!(scene.at(10.0).looks_again_at(), Some(20.0));
    assert_eq!(scene.at(24.0).looks_again_at(), Some(25.0));
}

#[test]
fn whoever_was_given_up_does_not_go_on() {
    let mut scene = Scene::new(1.0);
    scene.asks_for(&until(2));
    scene.begins();
    scene.waits_for_credentials();
    let lost = scene.flight();
    assert!(scene.at(2.0).gives_up().is_some());
    let now = scene.now;
    assert_eq!(scene.entry().goes_on(lost, now), None);
    scene.asks();
    assert_eq!(scene.entry().goes_on(lost, now), None);
    assert!(!scene.entry().waits_for_credentials(lost, now));
    // Nor does one that does not wait.
    assert_eq!(scene.has_credentials(), None);
}
