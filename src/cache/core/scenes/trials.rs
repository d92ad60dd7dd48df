//! Credentials: read once for all fetches, late, set meanwhile, refused and replaced.

use super::*;

/// The entry's fetch is refused with the credentials its source gave.
fn is_refused(scene: &mut Scene, entry: usize) -> FlightId {
    let flight = scene.on(entry).flight();
    scene.answers(flight, Err(failure(Class::Refused)));
    flight
}

/// Fetches of all three entries are sending.
fn three_send(kind: SourceKind) -> Scene {
    let mut scene = Scene::new(1.0);
    scene.from(kind);
    for entry in 0..3 {
        scene.on(entry).asks();
        scene.begins();
    }
    scene
}

fn fails_with_refusal(scene: &Scene, entry: usize) -> bool {
    scene.has_output(|output| match output {
        Output::Finish { entry: of, outcome: Outcome::Fail(Reason::Failed { fault, .. }) } => {
            *of == entry && matches!(fault, Fault::Reported(Trouble::InvalidClient))
        }
        _ => false,
    })
}

#[test]
fn no_source_is_asked_to_replace_refused_configured_credentials() {
    let mut scene = three_send(SourceKind::Given);
    is_refused(&mut scene, 0);
    assert!(fails_with_refusal(&scene, 0) && scene.asks_source().is_none());
}

#[test]
fn one_read_serves_all_fetches_that_need_it() {
    let mut scene = Scene::new(1.0);
    scene.from(SourceKind::Function);
    for entry in 0..3 {
        scene.on(entry).asks();
        scene.waits_for_credentials();
        assert_eq!(scene.asks_source().is_some(), entry == 0);
    }
    let ticket = 1;
    assert!(scene.core.is_being_read(ticket) && scene.core.wants_read(false, ticket));
    scene.credentials_arrive(false, ticket);
    assert_eq!(scene.released().len(), 3);
    assert!(!scene.core.is_being_read(ticket) && !scene.core.wants_read(false, ticket));
    (0..3).for_each(|entry| scene.on(entry).begins());
}

#[test]
fn unavailable_credentials_are_a_transient_failure() {
    let mut scene = Scene::new(1.0);
    scene.from(SourceKind::Function).asks();
    scene.waits_for_credentials();
    assert!(scene.notifies(|notice| matches!(notice, Notice::FetchStarted)), "it has started");
    let (refused, ticket) = (false, scene.asks_source().unwrap().0);
    scene.at(2.0).step(Input::CredentialsRead { refused, ticket, obtained: false, version: None });
    let failed = Some(Err(NoCredentials::Failed(Trouble::Credentials)));
    scene.thread_comes(scene.flight(), failed);
    assert_eq!(scene.goes_on_at(), Some(2.25), "the wait did not count against the fetch's time");
    let took = |notice: &Notice<_>| matches!(notice, Notice::AttemptFailed { took, .. } if took.as_secs() == 2);
    assert!(scene.notifies(took), "but against the attempt's");
    // The source is asked again for the next attempt.
    scene.at(2.25).waits_for_credentials();
    assert!(scene.asks_source().is_some());
}

#[test]
fn a_hung_read_is_retried_in_parallel_and_hung_files_are_bypassed() {
    let mut scene = Scene::new(1.0);
    scene.from(SourceKind::Files).asks();
    scene.waits_for_credentials();
    let first = scene.flight();
    let (ticket, is_retry) = scene.asks_source().unwrap();
    assert!(!is_retry && scene.core.is_being_read(ticket));
    let late = Input::CredentialsLate { refused: false, version: None };
    scene.at(2.0).step(late.clone());
    assert_eq!(scene.released(), [(first, ResumeWith::Credentials)]);
    scene.on(0).begins();
    // A later fetch already knows that the files hang.
    scene.on(1).at(3.0).asks();
    scene.waits_for_credentials();
    assert!(scene.has_output(|output| matches!(output, Output::UseLastPair { refused: false })));
    scene.step(late);
    scene.begins();
    scene.on(2).at(10.0).asks();
    scene.waits_for_credentials();
    let (second, is_retry) = scene.asks_source().unwrap();
    assert!(is_retry, "after this long, another read starts");
    scene.credentials_arrive(false, second);
    assert_eq!(scene.released().len(), 1);
    assert!(!scene.core.wants_read(false, ticket), "a later read has obtained a result");
}

#[test]
fn failing_callers_trigger_a_check_of_the_files_once_a_second() {
    let mut scene = Scene::new(1.0);
    scene.from(SourceKind::Files).asks();
    scene.begins();
    is_refused(&mut scene, 0);
    let same = Pair { was_requested: true, ..scene.pair() };
    let (ticket, _) = scene.asks_source().unwrap();
    let none = Input::CredentialsRead { refused: true, ticket, obtained: true, version: None };
    scene.step(none);
    scene.thread_comes(scene.flight(), Some(Ok(same)));
    assert!(fails_with_refusal(&scene, 0), "the files hold nothing else");
    let looks = |scene: &mut Scene| {
        scene.step(Input::LookAtFiles);
        (scene.has_output(|output| matches!(output, Output::Looking)), scene.asks_source())
    };
    assert_eq!(scene.at(5.0).asks(), Fails(Trouble::InvalidClient));
    let (is_looking, asked) = looks(&mut scene);
    assert!(is_looking && asked.is_some());
    assert_eq!(looks(scene.at(5.999)), (false, None));
    assert_eq!(looks(scene.at(6.0)), (true, None), "a read is in progress");
    scene.credentials_arrive(false, asked.unwrap().0);
    assert_eq!(scene.asks(), WaitsAndStarted, "the refusal concerned the previous credentials");
}

#[test]
fn refused_file_credentials_are_reread_once_per_fetch() {
    let mut scene = three_send(SourceKind::Files);
    let (first, second) = (is_refused(&mut scene, 0), is_refused(&mut scene, 1));
    assert_eq!(scene.is_parked(), Some(true));
    assert_eq!(scene.asks_source(), None, "the first has asked");
    scene.credentials_arrive(true, 1);
    assert_eq!(scene.released().len(), 2);
    for flight in [first, second] {
        scene.thread_comes(flight, scene.other_pair());
        assert!(scene.sends().is_some());
    }
    is_refused(&mut scene, 0);
    assert!(fails_with_refusal(&scene, 0), "once is enough");
    assert!(scene.on(1).receives_token(8));
}

#[test]
fn one_fetch_tries_out_what_the_function_gives_and_the_others_wait_for_it() {
    let mut scene = three_send(SourceKind::Function);
    let flights = [0, 1, 2].map(|entry| {
        let flight = is_refused(&mut scene, entry);
        assert_eq!(scene.is_parked(), Some(true));
        assert_eq!(scene.asks_source().is_some(), entry == 0, "one reads for all");
        flight
    });
    scene.credentials_arrive(true, 1);
    assert_eq!(scene.released(), [(flights[0], ResumeWith::Credentials)]);
    scene.thread_comes(flights[0], scene.other_pair());
    assert!(scene.has_output(
        |output| matches!(output, Output::NoteTrial { flight } if *flight == flights[0])
    ));
    assert!(scene.sends().is_some());
    assert!(scene.on(0).receives_token(8));
    let mut released = scene.released();
    released.sort_unstable_by_key(|(flight, _)| *flight);
    assert_eq!(
        released,
        [flights[1], flights[2]].map(|flight| (flight, ResumeWith::TriedPair(flights[0])))
    );
    let tried = Some(Ok(Pair { is_other: true, ..scene.pair() }));
    for entry in [1, 2] {
        scene.on(entry).thread_comes(flights[entry], tried.clone());
        assert!(scene.sends().is_some());
        assert!(scene.receives_token(8));
    }
}

#[test]
fn if_the_tried_pair_is_refused_no_other_fetch_sends_it() {
    let mut scene = three_send(SourceKind::Function);
    let flights = [0, 1, 2].map(|entry| is_refused(&mut scene, entry));
    scene.credentials_arrive(true, 1);
    scene.thread_comes(flights[0], scene.other_pair());
    is_refused(&mut scene, 0);
    assert!(fails_with_refusal(&scene, 0));
    assert_eq!(scene.released().len(), 2);
    assert!(scene.released().iter().all(|(_, resume_with)| *resume_with == ResumeWith::Nothing));
    for entry in [1, 2] {
        scene.thread_comes(flights[entry], None);
        assert!(fails_with_refusal(&scene, entry) && scene.sends().is_none());
    }
    // Their refusals add nothing: the cool-down is a minute, not more.
    assert_eq!(scene.at(59.999).asks(), Fails(Trouble::InvalidClient));
    assert_eq!(scene.at(60.0).asks(), WaitsAndStarted);
    assert_eq!(scene.core.counters(0).requests, 2);
}

#[test]
fn after_an_inconclusive_trial_the_next_fetch_tries() {
    let mut scene = three_send(SourceKind::Function);
    let flights = [0, 1, 2].map(|entry| is_refused(&mut scene, entry));
    scene.credentials_arrive(true, 1);
    scene.thread_comes(flights[0], scene.other_pair());
    scene.on(0).fails(failure(Class::TransientOnce));
    assert_eq!(scene.released().len(), 2);
    scene.thread_comes(flights[1], None);
    assert_eq!(scene.is_parked(), Some(true));
    let (ticket, _) = scene.asks_source().expect("it is its turn");
    scene.thread_comes(flights[2], None);
    assert_eq!((scene.is_parked(), scene.asks_source()), (Some(true), None));
    scene.credentials_arrive(true, ticket);
    assert_eq!(scene.released(), [(flights[1], ResumeWith::Credentials)]);
}

#[test]
fn a_trial_does_not_wait_for_itself() {
    let mut scene = three_send(SourceKind::Function);
    let first = is_refused(&mut scene, 0);
    let second = is_refused(&mut scene, 1);
    // The program sets the same credentials that were refused.
    scene.rotates();
    assert_eq!(scene.released().len(), 2);
    scene.on(0).goes_on();
    assert_eq!((scene.is_parked(), scene.goes_on_at()), (None, Some(0.0)), "it is sent again");
    scene.begins();
    is_refused(&mut scene, 0);
    assert!(fails_with_refusal(&scene, 0) && scene.core.entry_of(first).is_none());
    scene.thread_comes(second, Some(Ok(scene.pair())));
    assert_eq!(scene.is_parked(), None);
}

#[test]
fn a_trial_that_is_given_up_releases_the_others() {
    let mut scene = three_send(SourceKind::Function);
    for entry in 0..3 {
        is_refused(&mut scene, entry);
    }
    // Their callers had short deadlines.
    let mut hurried = Scene::new(1.0);
    hurried.from(SourceKind::Function);
    for entry in 0..2 {
        hurried.on(entry).asks_for(&until([3.0, 60.0][entry]));
        hurried.begins();
    }
    for entry in 0..2 {
        is_refused(&mut hurried, entry);
    }
    let (second, first) = (hurried.flight(), hurried.on(0).flight());
    assert_eq!(hurried.on(0).at(3.0).is_given_up(), Some(GivenUp::CredentialsPending));
    assert_eq!(hurried.released(), [(second, ResumeWith::TriedPair(first))]);
}

#[test]
fn a_refusal_of_replaced_credentials_does_not_count() {
    for class in [Class::Refused, Class::Terminal] {
        let mut scene = Scene::new(1.0);
        scene.asks();
        scene.begins();
        for _ in 0..4 {
            scene.rotates();
            assert_eq!(scene.attempt_fails(failure(class)), Some(0.0), "it asks again at once");
            scene.begins();
        }
        scene.rotates();
        scene.fails(failure(class));
        assert_eq!(scene.core.counters(0).failures, 1, "a source may change each time");
    }
}

#[test]
fn the_core_may_know_before_the_source_that_a_pair_was_replaced() {
    for kind in [SourceKind::Given, SourceKind::Files, SourceKind::Function] {
        let mut scene = Scene::new(1.0);
        scene.from(kind).asks();
        scene.begins();
        let former = scene.source;
        scene.rotates();
        let (flight, latest) = (scene.flight(), scene.source);
        scene.source = former;
        scene.answers(flight, Err(failure(Class::Refused)));
        assert_eq!((scene.goes_on_at(), scene.is_parked()), (Some(0.0), None), "{kind:?}");
        scene.source = latest;
        scene.begins();
        assert!(scene.receives_token(8));
    }
}

#[test]
fn a_source_status_from_before_a_rotation_is_read_again() {
    let mut scene = Scene::new(1.0);
    scene.from(SourceKind::Function).asks();
    scene.waits_for_credentials();
    scene.on(1).asks();
    let former = scene.source;
    scene.rotates();
    let (flight, latest) = (scene.flight(), scene.source);
    scene.source = former;
    scene.thread_comes(flight, None);
    assert_eq!((scene.goes_on_at(), scene.is_parked()), (Some(0.0), None));
    scene.source = latest;
    scene.begins();
}

#[test]
fn a_token_for_replaced_credentials_is_kept() {
    let mut scene = Scene::new(1.0);
    scene.asks();
    scene.begins();
    scene.rotates();
    assert!(scene.receives_token(1200));
    assert_eq!(scene.asks(), Served);
}

#[test]
fn a_rotation_resumes_fetches_that_wait_for_the_old_source() {
    let mut scene = three_send(SourceKind::Function);
    let flights = [is_refused(&mut scene, 0), is_refused(&mut scene, 1)];
    let third = scene.on(2).flight();
    scene.attempt_fails(failure(Class::Transient));
    scene.at(0.25).waits_for_credentials();
    scene.rotates();
    let mut released: Vec<_> = scene.released().iter().map(|(flight, _)| *flight).collect();
    released.sort_unstable();
    assert_eq!(released, [flights[0], flights[1], third]);
    let given = Some(Ok(Pair { is_other: true, ..scene.pair() }));
    for flight in released {
        scene.thread_comes(flight, given.clone());
        assert!(scene.sends().is_some());
    }
}

#[test]
fn credentials_set_meanwhile_end_the_wait_for_the_source() {
    let mut scene = Scene::new(1.0);
    scene.from(SourceKind::Function).asks();
    scene.waits_for_credentials();
    let (ticket, _) = scene.asks_source().unwrap();
    scene.from(SourceKind::Given).step(Input::CredentialsGiven { refused: false, ticket });
    assert_eq!(scene.released(), [(scene.flight(), ResumeWith::Nothing)]);
    assert!(!scene.core.is_being_read(ticket));
    scene.begins();
}
