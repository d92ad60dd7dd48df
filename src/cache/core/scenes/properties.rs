//! Property tests: random events in random order under a manual clock, checked against a model of
//! what is allowed.

use proptest::prelude::*;

use super::world::{Come, Event, World};
use super::*;

fn times() -> impl Strategy<Value = Duration> {
    prop_oneof![
        4 => 0..2_000u64,
        4 => 2_000..60_000u64,
        3 => 60_000..1_200_000u64,
        1 => 1_200_000..18_000_000u64,
    ]
    .prop_map(Duration::from_millis)
}

fn asks() -> impl Strategy<Value = Event> {
    let min_ttl = prop_oneof![3 => Just(0), 1 => 1..1_500u64].prop_map(Duration::from_secs);
    let patience = proptest::option::of((0..60_000u64).prop_map(Duration::from_millis));
    (min_ttl, prop::bool::weighted(0.3), patience)
        .prop_map(|(min_ttl, at_once, patience)| Event::Ask { min_ttl, at_once, patience })
}

fn lifetimes() -> impl Strategy<Value = Duration> {
    prop_oneof![Just(1), Just(8), 1..100u64, Just(1200), Just(86_400)].prop_map(Duration::from_secs)
}

fn failures() -> impl Strategy<Value = Failure<Trouble>> {
    let classes = prop_oneof![
        3 => Just(Class::Transient),
        1 => Just(Class::TransientOnce),
        2 => Just(Class::RateLimited),
        1 => Just(Class::LoginRefused),
        1 => Just(Class::Terminal),
        2 => Just(Class::Refused),
    ];
    (classes, proptest::option::of((1..=900u64).prop_map(Duration::from_secs))).prop_map(
        |(class, wait)| {
            let retry_after = wait.filter(|_| class == Class::RateLimited);
            Failure { retry_after, ..scene::failure(class) }
        },
    )
}

fn credentials() -> impl Strategy<Value = Option<Result<(bool, bool), NoCredentials<Trouble>>>> {
    prop_oneof![
        10 => (any::<bool>(), any::<bool>()).prop_map(|pair| Some(Ok(pair))),
        4 => Just(None),
        2 => Just(Some(Err(NoCredentials::Failed(Trouble::Credentials)))),
        1 => Just(Some(Err(NoCredentials::NoThread(Trouble::NoThread)))),
    ]
}

fn records() -> impl Strategy<Value = Option<Record>> {
    let times = (times(), times());
    let parts = (lifetimes(), 0.0..1.0f64, 0..3u64, times, any::<bool>(), any::<bool>());
    let record =
        parts.prop_map(|(lifetime, age, tried, (again, fresh), same_value, was_refused)| Record {
            // This long before now.
            requested_at: BootTime::ZERO.after(lifetime.mul_f64(age)),
            lifetime,
            granted_for: lifetime + fresh / 10,
            fresh_until: BootTime::ZERO.after(fresh),
            tried,
            again_at: BootTime::ZERO.after(again),
            same_value,
            was_refused,
        });
    proptest::option::of(record)
}

fn comes() -> impl Strategy<Value = Come> {
    let granted = (lifetimes(), prop::bool::weighted(0.3))
        .prop_map(|(lifetime, same_value)| Granted { lifetime, same_value });
    let answers = prop_oneof![1 => granted.prop_map(Ok), 1 => failures().prop_map(Err)];
    let locks = prop_oneof![4 => Just(Lock::Taken), 3 => any::<bool>().prop_map(|is_successor| Lock::Busy { is_successor }), 1 => Just(Lock::Failed)];
    let reads = (any::<bool>(), any::<bool>(), prop::bool::weighted(0.1));
    (prop::bool::weighted(0.93), credentials(), answers, records(), locks, reads).prop_map(
        |(thread, credentials, answer, record, lock, (obtained, is_other, given))| Come {
            thread,
            credentials,
            answer,
            record,
            lock,
            obtained,
            is_other,
            given,
        },
    )
}

fn events() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => times().prop_map(Event::Pass),
        4 => (0.0..1.1f64).prop_map(Event::Age),
        8 => Just(Event::Next),
        10 => asks(),
        24 => (0..8usize, comes()).prop_map(|(which, come)| Event::Comes(which, come)),
        2 => any::<usize>().prop_map(Event::Stray),
        3 => Just(Event::Look),
        1 => any::<bool>().prop_map(|refused| Event::Late { refused }),
        1 => Just(Event::LookAtFiles),
        1 => any::<bool>().prop_map(|current| Event::Invalidate { current }),
        1 => Just(Event::Wake),
        1 => Just(Event::Rotate),
        1 => Just(Event::Fork),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_invariants_hold_under_random_events(
        budget in prop_oneof![1..=4u32, Just(600)],
        keep_warm in any::<bool>(),
        has_store in any::<bool>(),
        kind in prop_oneof![Just(SourceKind::Given), Just(SourceKind::Files), Just(SourceKind::Function)],
        steps in prop::collection::vec((0..3usize, 0.0..1.0f64, events()), 1..150),
    ) {
        let mut world = World::new(budget, keep_warm, has_store, kind);
        for (entry, chance, event) in steps {
            world.is_on(entry, chance);
            world.happens(&event);
            world.check();
        }
        world.recovers();
        world.closes();
    }
}

/// A refused fetch rereads its files and finds other credentials, but then has none: that is no
/// refusal, and other entries may start.
#[test]
fn a_lack_of_credentials_after_a_reread_is_not_a_refusal() {
    let come = |which, credentials, answer| {
        let come = Come {
            thread: true,
            credentials: Some(credentials),
            answer,
            record: None,
            lock: Lock::Taken,
            obtained: true,
            is_other: true,
            given: false,
        };
        Event::Comes(which, come)
    };
    let granted = Ok(Granted { lifetime: Duration::from_secs(21), same_value: false });
    let (same, lack) = (Ok((false, false)), Err(NoCredentials::Failed(Trouble::Credentials)));
    let ask = || Event::Ask { min_ttl: Duration::ZERO, at_once: false, patience: None };
    let mut world = World::new(600, false, false, SourceKind::Files);
    let steps = [
        (0, ask()),
        (0, come(0, same.clone(), granted.clone())),
        (0, come(0, same.clone(), Err(scene::failure(Class::Refused)))),
        // The reread, and a thread.
        (0, come(0, same, granted.clone())),
        (0, come(0, lack.clone(), granted.clone())),
        // Once more, with the other credentials.
        (0, come(0, lack.clone(), granted.clone())),
        // Past the fetch's time, so it ends with this.
        (0, Event::Pass(Duration::from_secs(15))),
        (0, come(0, lack, granted)),
        (1, ask()),
    ];
    for (entry, event) in steps {
        world.is_on(entry, 0.0);
        world.happens(&event);
        world.check();
    }
}
