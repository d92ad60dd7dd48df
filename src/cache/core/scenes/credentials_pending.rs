//! Fetches that wait for their credentials: whose time the wait takes, and when it ends.

use super::*;

impl Scene {
    /// From now on credentials come from this kind of source.
    pub(super) fn from(&mut self, kind: SourceKind) -> &mut Self {
        self.source.kind = kind;
        self
    }

    /// A thread takes the fetch, and the source must be asked.
    pub(super) fn waits_for_credentials(&mut self) {
        self.thread_comes(self.flight(), None);
        assert_eq!(self.is_parked(), Some(false), "{:?}", self.outputs);
    }

    /// The read that the last step has started, and whether it is in parallel with one that hangs.
    pub(super) fn asks_source(&self) -> Option<(u64, bool)> {
        self.outputs.iter().find_map(|output| match *output {
            Output::AskSource { ticket, is_retry, .. } => Some((ticket, is_retry)),
            _ => None,
        })
    }

    /// A read has obtained credentials. Those from files are new to the client.
    pub(super) fn credentials_arrive(&mut self, refused: bool, ticket: u64) {
        let is_other = self.source.kind == SourceKind::Files;
        self.source.version += u64::from(is_other);
        let version = is_other.then_some(self.source.version);
        self.step(Input::CredentialsRead { refused, ticket, obtained: true, version });
    }

    /// Which fetches resume, and with what.
    pub(super) fn released(&self) -> Vec<(FlightId, ResumeWith)> {
        let of = |output: &_| match *output {
            Output::Start { rank: Rank::Awaited | Rank::Background, .. } => None,
            Output::Start { flight, resume_with, .. } => Some((flight, resume_with)),
            _ => None,
        };
        self.outputs.iter().filter_map(of).collect()
    }

    /// Credentials that differ from the refused ones.
    pub(super) fn other_pair(&self) -> Option<Result<Pair, NoCredentials<Trouble>>> {
        Some(Ok(Pair { is_other: true, was_requested: true, ..self.pair() }))
    }
}

#[test]
fn the_wait_does_not_count_against_the_fetchs_time() {
    let mut scene = Scene::new(1.0);
    scene.from(SourceKind::Files).asks_for(&until(600.0));
    scene.begins();
    assert_eq!(scene.at(5.0).attempt_fails(failure(Class::Refused)), None);
    assert_eq!(scene.is_parked(), Some(true));
    let (ticket, _) = scene.asks_source().unwrap();
    assert_eq!(scene.at(500.0).is_given_up(), None);
    scene.credentials_arrive(true, ticket);
    let flight = scene.flight();
    assert_eq!(scene.released(), [(flight, ResumeWith::Credentials)]);
    scene.thread_comes(flight, scene.other_pair());
    // Ten of its fifteen seconds are left, plus the half second before it is given up.
    assert_eq!(scene.sends(), Some((10.0, 5.0)));
    assert_eq!(scene.at(507.5).attempt_fails(failure(Class::Transient)), Some(508.0));
    scene.at(508.0).begins();
    assert_eq!(scene.sends(), Some((2.0, 13.0)));
    assert_eq!(scene.at(510.499).is_given_up(), None);
    assert_eq!(scene.at(510.5).is_given_up(), Some(GivenUp::Overrun));
}

#[test]
fn the_wait_ends_with_the_last_caller_and_is_not_remembered() {
    let mut scene = Scene::new(1.0);
    scene.asks_for(&until(30.0));
    scene.waits_for_credentials();
    scene.at(20.0).asks_for(&until(50.0));
    assert_eq!(scene.at(49.999).is_given_up(), None);
    let flight = scene.flight();
    assert_eq!(scene.at(50.0).is_given_up(), Some(GivenUp::CredentialsPending));
    assert_eq!(scene.core.entry_of(flight), None);
    let told = Waited::default();
    assert_eq!(scene.asks_again(&until(50.0), Some(told)), Fails(Trouble::TimedOut));
    assert!(scene.has_output(|output| matches!(
        output,
        Output::Fail(Reason::TimedOut { credentials_pending: true })
    )));
    assert_eq!(scene.asks(), WaitsAndStarted, "the next caller starts again at once");
}

#[test]
fn a_fetch_whose_callers_left_waits_a_second_for_credentials() {
    let mut scene = Scene::new(1.0);
    scene.asks_for(&until(0.0));
    scene.waits_for_credentials();
    assert_eq!(scene.at(0.999).is_given_up(), None);
    assert!(scene.at(1.0).is_given_up().is_some());
    assert_eq!(scene.asks(), WaitsAndStarted);
    scene.waits_for_credentials();
    assert!(
        matches!(scene.asks_source(), Some((_, true))),
        "in parallel with the one that may hang"
    );
}

#[test]
fn a_renewal_waits_longer_and_leaves_the_token_to_callers() {
    let mut scene = Scene::with_token(1.0, 1200);
    assert_eq!(scene.at(700.0).asks(), ServedAndStarted);
    scene.waits_for_credentials();
    assert_eq!(scene.at(709.0).asks(), Served);
    // Readers need not ask before it can be given up.
    assert_eq!(scene.serves_until(), 710.0);
    assert_eq!(scene.is_given_up(), None);
    assert!(scene.at(710.0).is_given_up().is_some());
    assert_eq!(scene.asks(), ServedAndStarted);
}

#[test]
fn a_renewal_that_a_caller_waits_for_waits_as_long() {
    let mut scene = Scene::with_token(1.0, 1200);
    scene.at(1180.0).asks_for(&until(1181.0));
    scene.waits_for_credentials();
    assert_eq!(scene.at(1189.999).is_given_up(), None);
    assert!(scene.at(1190.0).is_given_up().is_some());
}

#[test]
fn waiters_check_the_fetch_periodically() {
    let mut scene = Scene::new(1.0);
    let looks_again_at = |scene: &mut Scene| {
        scene.asks_for(&until(25.0));
        scene.waits_until()
    };
    scene.from(SourceKind::Files);
    assert_eq!(looks_again_at(&mut scene), 15.5, "it waits for a thread");
    scene.begins();
    assert_eq!(looks_again_at(&mut scene), 15.5);
    scene.attempt_fails(failure(Class::Refused));
    assert_eq!(looks_again_at(&mut scene), 10.0);
    assert_eq!(looks_again_at(scene.at(10.0)), 20.0);
    assert!(scene.asks_source().is_some(), "and the source is asked again");
    assert_eq!(looks_again_at(scene.at(24.0)), 25.0);
}

#[test]
fn a_fetch_that_was_given_up_does_not_continue() {
    let mut scene = Scene::new(1.0);
    scene.asks_for(&until(2.0));
    scene.waits_for_credentials();
    let lost = scene.flight();
    let (ticket, _) = scene.asks_source().unwrap();
    assert!(scene.at(2.0).is_given_up().is_some());
    scene.credentials_arrive(false, ticket);
    assert_eq!(scene.released(), []);
    scene.asks();
    for credentials in [None, Some(Ok(scene.pair()))] {
        scene.thread_comes(lost, credentials);
        assert!(scene.outputs.is_empty());
    }
    // Nor does one that has not been told.
    scene.waits_for_credentials();
    scene.goes_on();
    assert!(scene.outputs.is_empty());
}
