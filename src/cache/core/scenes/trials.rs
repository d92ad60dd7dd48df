//! Where credentials come from: asked for once for all, late, given meanwhile, refused and replaced.

use super::*;

/// A fetch of the entry is refused, with the pair that its source gave.
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
    scene.says(|output| match output {
        Output::Finish { entry: of, outcome: Outcome::Fail(Reason::Failed { fault, .. }) } => {
            *of == entry && matches!(fault, Fault::Told(Trouble::InvalidClient))
        }
        _ => false,
    })
}

#[test]
fn a_given_pair_that_is_refused_is_asked_for_nowhere() {
    let mut scene = three_send(SourceKind::Given);
    is_refused(&mut scene, 0);
    assert!(fails_with_refusal(&scene, 0) && scene.asks_source().is_none());
}

#[test]
fn one_asking_serves_all_who_need_the_same() {
    let mut scene = Scene::new(1.0);
    scene.from(SourceKind::Function);
    for entry in 0..3 {
        scene.on(entry).asks();
        scene.waits_for_credentials();
        assert_eq!(scene.asks_source().is_some(), entry == 0);
    }
    let ticket = 1;
    assert!(scene.core.is_being_read(ticket) && scene.core.wants_read(false, ticket));
    scene.are_read(false, ticket);
    assert_eq!(scene.released().len(), 3);
    assert!(!scene.core.is_being_read(ticket) && !scene.core.wants_read(false, ticket));
    (0..3).for_each(|entry| scene.on(entry).begins());
}

#[test]
fn credentials_that_cannot_be_had_are_a_failure_that_may_pass() {
    let mut scene = Scene::new(1.0);
    scene.from(SourceKind::Function).asks();
    scene.waits_for_credentials();
    assert!(scene.tells(|news| matches!(news, News::FetchStarted)), "it has begun");
    let (refused, ticket) = (false, scene.asks_source().unwrap().0);
    scene.at(2.0).step(Input::CredentialsRead { refused, ticket, brought: false, version: None });
    let failed = Some(Err(Unread::Failed(Trouble::Credentials)));
    scene.thread_comes(scene.flight(), failed);
    assert_eq!(scene.goes_on_at(), Some(2.25), "their time was none of the fetch's");
    let took =
        |news: &News<_>| matches!(news, News::AttemptFailed { took, .. } if took.as_secs() == 2);
    assert!(scene.tells(took), "though it was the attempt's");
    // The source is asked again for the next attempt.
    scene.at(2.25).waits_for_credentials();
    assert!(scene.asks_source().is_some());
}

#[test]
fn what_hangs_is_asked_beside_and_files_are_done_without() {
    let mut scene = Scene::new(1.0);
    scene.from(SourceKind::Files).asks();
    scene.waits_for_credentials();
    let first = scene.flight();
    let (ticket, anew) = scene.asks_source().unwrap();
    assert!(!anew && scene.core.is_being_read(ticket));
    let late = Input::CredentialsLate { refused: false, version: None };
    scene.at(2.0).step(late.clone());
    assert_eq!(scene.released(), [(first, Brings::Credentials)]);
    scene.on(0).begins();
    // Whoever comes later knows that they hang.
    scene.on(1).at(3.0).asks();
    scene.waits_for_credentials();
    assert!(scene.says(|output| matches!(output, Output::DoWithoutFiles { refused: false })));
    scene.step(late);
    scene.begins();
    scene.on(2).at(10.0).asks();
    scene.waits_for_credentials();
    let (second, anew) = scene.asks_source().unwrap();
    assert!(anew, "after so long another try is made");
    scene.are_read(false, second);
    assert_eq!(scene.released().len(), 1);
    assert!(!scene.core.wants_read(false, ticket), "a younger one has brought its own");
}

#[test]
fn callers_that_fail_have_files_looked_at_once_a_second() {
    let mut scene = Scene::new(1.0);
    scene.from(SourceKind::Files).asks();
    scene.begins();
    is_refused(&mut scene, 0);
    let same = Pair { was_asked_for: true, ..scene.pair() };
    let (ticket, _) = scene.asks_source().unwrap();
    let none = Input::CredentialsRead { refused: true, ticket, brought: true, version: None };
    scene.step(none);
    scene.thread_comes(scene.flight(), Some(Ok(same)));
    assert!(fails_with_refusal(&scene, 0), "the files hold nothing else");
    let looks = |scene: &mut Scene| {
        scene.step(Input::LookAtFiles);
        (scene.says(|output| matches!(output, Output::Looking)), scene.asks_source())
    };
    assert_eq!(scene.at(5.0).asks(), Fails(Trouble::InvalidClient));
    let (is_looking, asked) = looks(&mut scene);
    assert!(is_looking && asked.is_some());
    assert_eq!(looks(scene.at(5.999)), (false, None));
    assert_eq!(looks(scene.at(6.0)), (true, None), "somebody does already");
    scene.are_read(false, asked.unwrap().0);
    assert_eq!(scene.asks(), WaitsAndStarted, "the refusal was of the former pair");
}

#[test]
fn a_refused_pair_of_files_is_asked_for_once_more_a_fetch() {
    let mut scene = three_send(SourceKind::Files);
    let (first, second) = (is_refused(&mut scene, 0), is_refused(&mut scene, 1));
    assert_eq!(scene.is_parked(), Some(true));
    assert_eq!(scene.asks_source(), None, "the first has asked");
    scene.are_read(true, 1);
    assert_eq!(scene.released().len(), 2);
    for flight in [first, second] {
        scene.thread_comes(flight, scene.other_pair());
        assert!(scene.sends().is_some());
    }
    is_refused(&mut scene, 0);
    assert!(fails_with_refusal(&scene, 0), "once is enough");
    assert!(scene.on(1).brings(8));
}

#[test]
fn one_fetch_tries_out_what_the_function_gives_and_the_others_wait_for_it() {
    let mut scene = three_send(SourceKind::Function);
    let flights = [0, 1, 2].map(|entry| {
        let flight = is_refused(&mut scene, entry);
        assert_eq!(scene.is_parked(), Some(true));
        assert_eq!(scene.asks_source().is_some(), entry == 0, "one asks for all");
        flight
    });
    scene.are_read(true, 1);
    assert_eq!(scene.released(), [(flights[0], Brings::Credentials)]);
    scene.thread_comes(flights[0], scene.other_pair());
    assert!(
        scene
            .says(|output| matches!(output, Output::NoteTrial { flight } if *flight == flights[0]))
    );
    assert!(scene.sends().is_some());
    assert!(scene.on(0).brings(8));
    let mut released = scene.released();
    released.sort_unstable_by_key(|(flight, _)| *flight);
    assert_eq!(
        released,
        [flights[1], flights[2]].map(|flight| (flight, Brings::TriedPair(flights[0])))
    );
    let tried = Some(Ok(Pair { is_other: true, ..scene.pair() }));
    for entry in [1, 2] {
        scene.on(entry).thread_comes(flights[entry], tried.clone());
        assert!(scene.sends().is_some());
        assert!(scene.brings(8));
    }
}

#[test]
fn if_the_tried_pair_is_refused_nobody_else_sends_it() {
    let mut scene = three_send(SourceKind::Function);
    let flights = [0, 1, 2].map(|entry| is_refused(&mut scene, entry));
    scene.are_read(true, 1);
    scene.thread_comes(flights[0], scene.other_pair());
    is_refused(&mut scene, 0);
    assert!(fails_with_refusal(&scene, 0));
    assert_eq!(scene.released().len(), 2);
    assert!(scene.released().iter().all(|(_, brings)| *brings == Brings::Nothing));
    for entry in [1, 2] {
        scene.thread_comes(flights[entry], None);
        assert!(fails_with_refusal(&scene, entry) && scene.sends().is_none());
    }
    // They tell nothing new: a minute, not more.
    assert_eq!(scene.at(59.999).asks(), Fails(Trouble::InvalidClient));
    assert_eq!(scene.at(60.0).asks(), WaitsAndStarted);
    assert_eq!(scene.core.counters(0).requests, 2);
}

#[test]
fn after_a_trial_that_told_nothing_the_next_fetch_tries() {
    let mut scene = three_send(SourceKind::Function);
    let flights = [0, 1, 2].map(|entry| is_refused(&mut scene, entry));
    scene.are_read(true, 1);
    scene.thread_comes(flights[0], scene.other_pair());
    scene.on(0).fails(failure(Class::TransientOnce));
    assert_eq!(scene.released().len(), 2);
    scene.thread_comes(flights[1], None);
    assert_eq!(scene.is_parked(), Some(true));
    let (ticket, _) = scene.asks_source().expect("it is its turn");
    scene.thread_comes(flights[2], None);
    assert_eq!((scene.is_parked(), scene.asks_source()), (Some(true), None));
    scene.are_read(true, ticket);
    assert_eq!(scene.released(), [(flights[1], Brings::Credentials)]);
}

#[test]
fn a_trial_does_not_wait_for_itself() {
    let mut scene = three_send(SourceKind::Function);
    let first = is_refused(&mut scene, 0);
    let second = is_refused(&mut scene, 1);
    // The program gives the very pair that was refused.
    scene.rotates();
    assert_eq!(scene.released().len(), 2);
    scene.on(0).goes_on();
    assert_eq!((scene.is_parked(), scene.goes_on_at()), (None, Some(0.0)), "it is sent once more");
    scene.begins();
    is_refused(&mut scene, 0);
    assert!(fails_with_refusal(&scene, 0) && scene.core.entry_of(first).is_none());
    scene.thread_comes(second, Some(Ok(scene.pair())));
    assert_eq!(scene.is_parked(), None);
}

#[test]
fn a_trial_that_is_given_up_lets_the_others_go_on() {
    let mut scene = three_send(SourceKind::Function);
    for entry in 0..3 {
        is_refused(&mut scene, entry);
    }
    // Their callers had no time.
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
    assert_eq!(hurried.on(0).at(3.0).is_given_up(), Some(GivenUp::Unread));
    assert_eq!(hurried.released(), [(second, Brings::TriedPair(first))]);
}

#[test]
fn a_pair_that_was_replaced_while_it_was_used_is_nobodys() {
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
        assert_eq!(scene.core.counters(0).failures, 1, "a source may have another each time");
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
        assert!(scene.brings(8));
    }
}

#[test]
fn a_look_at_the_source_that_a_rotation_overtook_is_taken_again() {
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
fn a_token_for_a_former_pair_is_kept() {
    let mut scene = Scene::new(1.0);
    scene.asks();
    scene.begins();
    scene.rotates();
    assert!(scene.brings(1200));
    assert_eq!(scene.asks(), Served);
}

#[test]
fn whatever_waits_for_the_former_source_goes_on_with_new_credentials() {
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
fn if_credentials_were_given_meanwhile_nobody_waits_for_the_source() {
    let mut scene = Scene::new(1.0);
    scene.from(SourceKind::Function).asks();
    scene.waits_for_credentials();
    let (ticket, _) = scene.asks_source().unwrap();
    scene.from(SourceKind::Given).step(Input::CredentialsGiven { refused: false, ticket });
    assert_eq!(scene.released(), [(scene.flight(), Brings::Nothing)]);
    assert!(!scene.core.is_being_read(ticket));
    scene.begins();
}
