//! Fetches that wait for their credentials: whose time that is, and when it ends.

use super::*;

impl Scene {
    /// Credentials come from there from now on.
    pub(super) fn from(&mut self, kind: SourceKind) -> &mut Self {
        self.source.kind = kind;
        self
    }

    /// A thread takes the fetch up, and its source has to be asked.
    pub(super) fn waits_for_credentials(&mut self) {
        self.thread_comes(self.flight(), None);
        assert_eq!(self.is_parked(), Some(false), "{:?}", self.said);
    }

    /// Which asking for credentials the last step has begun, and whether beside one that hangs.
    pub(super) fn asks_source(&self) -> Option<(u64, bool)> {
        self.said.iter().find_map(|output| match *output {
            Output::AskSource { ticket, anew, .. } => Some((ticket, anew)),
            _ => None,
        })
    }

    /// An asking has brought a pair. If it is that of files, it is one that the client did not know.
    pub(super) fn are_read(&mut self, refused: bool, ticket: u64) {
        let is_other = self.source.kind == SourceKind::Files;
        self.source.version += u64::from(is_other);
        let version = is_other.then_some(self.source.version);
        self.step(Input::CredentialsRead { refused, ticket, brought: true, version });
    }

    /// Which fetches go on, and what they bring with them.
    pub(super) fn released(&self) -> Vec<(FlightId, Brings)> {
        let of = |output: &_| match *output {
            Output::Start { rank: Rank::Awaited | Rank::Background, .. } => None,
            Output::Start { flight, brings, .. } => Some((flight, brings)),
            _ => None,
        };
        self.said.iter().filter_map(of).collect()
    }

    /// A pair that is another than the refused one.
    pub(super) fn other_pair(&self) -> Option<Result<Pair, Unread<Trouble>>> {
        Some(Ok(Pair { is_other: true, was_asked_for: true, ..self.pair() }))
    }
}

#[test]
fn the_wait_takes_nothing_of_the_fetchs_own_time() {
    let mut scene = Scene::new(1.0);
    scene.from(SourceKind::Files).asks_for(&until(600.0));
    scene.begins();
    assert_eq!(scene.at(5.0).attempt_fails(failure(Class::Refused)), None);
    assert_eq!(scene.is_parked(), Some(true));
    let (ticket, _) = scene.asks_source().unwrap();
    assert_eq!(scene.at(500.0).is_given_up(), None);
    scene.are_read(true, ticket);
    let flight = scene.flight();
    assert_eq!(scene.released(), [(flight, Brings::Credentials)]);
    scene.thread_comes(flight, scene.other_pair());
    // Ten of its fifteen seconds are left, and the half that is granted beyond.
    assert_eq!(scene.sends(), Some((10.0, 5.0)));
    assert_eq!(scene.at(507.5).attempt_fails(failure(Class::Transient)), Some(508.0));
    scene.at(508.0).begins();
    assert_eq!(scene.sends(), Some((2.0, 13.0)));
    assert_eq!(scene.at(510.499).is_given_up(), None);
    assert_eq!(scene.at(510.5).is_given_up(), Some(GivenUp::Overrun));
}

#[test]
fn it_ends_with_the_last_caller_and_is_not_remembered() {
    let mut scene = Scene::new(1.0);
    scene.asks_for(&until(30.0));
    scene.waits_for_credentials();
    scene.at(20.0).asks_for(&until(50.0));
    assert_eq!(scene.at(49.999).is_given_up(), None);
    let flight = scene.flight();
    assert_eq!(scene.at(50.0).is_given_up(), Some(GivenUp::Unread));
    assert_eq!(scene.core.entry_of(flight), None);
    let told = Waited::default();
    assert_eq!(scene.asks_again(&until(50.0), Some(told)), Fails(Trouble::TimedOut));
    assert!(scene.says(|output| matches!(output, Output::Fail(Reason::TimedOut { unread: true }))));
    assert_eq!(scene.asks(), WaitsAndStarted, "the next caller has a new try, at once");
}

#[test]
fn callers_in_a_hurry_give_it_a_second() {
    let mut scene = Scene::new(1.0);
    scene.asks_for(&until(0.0));
    scene.waits_for_credentials();
    assert_eq!(scene.at(0.999).is_given_up(), None);
    assert!(scene.at(1.0).is_given_up().is_some());
    assert_eq!(scene.asks(), WaitsAndStarted);
    scene.waits_for_credentials();
    assert!(matches!(scene.asks_source(), Some((_, true))), "beside the one that may hang");
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
fn those_who_wait_look_again_now_and_then() {
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
    assert!(scene.asks_source().is_some(), "and have the source asked again");
    assert_eq!(looks_again_at(scene.at(24.0)), 25.0);
}

#[test]
fn whoever_was_given_up_does_not_go_on() {
    let mut scene = Scene::new(1.0);
    scene.asks_for(&until(2.0));
    scene.waits_for_credentials();
    let lost = scene.flight();
    let (ticket, _) = scene.asks_source().unwrap();
    assert!(scene.at(2.0).is_given_up().is_some());
    scene.are_read(false, ticket);
    assert_eq!(scene.released(), []);
    scene.asks();
    for credentials in [None, Some(Ok(scene.pair()))] {
        scene.thread_comes(lost, credentials);
        assert!(scene.said.is_empty());
    }
    // Nor does one that was not told so.
    scene.waits_for_credentials();
    scene.goes_on();
    assert!(scene.said.is_empty());
}
