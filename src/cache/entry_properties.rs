//! Whatever happens, in whatever order: random events under a clock turned by hand, against the
//! account of what is allowed.

use proptest::prelude::*;

use super::world::World;
use super::*;

#[derive(Clone, Debug)]
pub(super) enum Event {
    Pass(Duration),
    /// This share of the token's remaining life passes.
    Age(f64),
    Ask(Want),
    Begin {
        has_waiters: bool,
    },
    Grant {
        lifetime: u64,
        same_value: bool,
    },
    GrantLate {
        lifetime: u64,
    },
    Fail {
        class: Class,
        retry_after: Option<u64>,
    },
    GiveUp,
    Withdraw,
    Invalidate {
        current: bool,
    },
    LookAhead,
    Wake,
    Rotate,
    Fork,
}

fn times() -> impl Strategy<Value = Duration> {
    prop_oneof![
        4 => 0..2_000u64,
        4 => 2_000..60_000u64,
        3 => 60_000..1_200_000u64,
        1 => 1_200_000..18_000_000u64,
    ]
    .prop_map(Duration::from_millis)
}

fn wants() -> impl Strategy<Value = Want> {
    let min_ttl = prop_oneof![3 => Just(0), 1 => 1..1_500u64].prop_map(Duration::from_secs);
    (min_ttl, any::<bool>()).prop_map(|(min_ttl, at_once)| Want {
        min_ttl,
        at_once,
        ..Want::default()
    })
}

fn failures() -> impl Strategy<Value = Event> {
    let classes = prop_oneof![
        3 => Just(Class::Transient),
        1 => Just(Class::TransientOnce),
        2 => Just(Class::RateLimited),
        1 => Just(Class::Terminal),
        1 => Just(Class::Refused),
    ];
    (classes, proptest::option::of(1..=900u64))
        .prop_map(|(class, retry_after)| Event::Fail { class, retry_after })
}

fn events() -> impl Strategy<Value = Event> {
    let lifetimes = || prop_oneof![Just(1), Just(8), 1..100u64, Just(1200), Just(86_400)];
    prop_oneof![
        6 => times().prop_map(Event::Pass),
        4 => (0.0..1.1f64).prop_map(Event::Age),
        10 => wants().prop_map(Event::Ask),
        6 => prop::bool::weighted(0.8).prop_map(|has_waiters| Event::Begin { has_waiters }),
        4 => (lifetimes(), prop::bool::weighted(0.3))
            .prop_map(|(lifetime, same_value)| Event::Grant { lifetime, same_value }),
        4 => failures(),
        1 => lifetimes().prop_map(|lifetime| Event::GrantLate { lifetime }),
        1 => Just(Event::GiveUp),
        1 => Just(Event::Withdraw),
        1 => any::<bool>().prop_map(|current| Event::Invalidate { current }),
        2 => Just(Event::LookAhead),
        1 => Just(Event::Wake),
        1 => Just(Event::Rotate),
        1 => Just(Event::Fork),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_promises_hold(
        entries in 1..=3usize,
        budget in prop_oneof![1..=4u32, Just(600)],
        steps in prop::collection::vec((0..3usize, 0.0..1.0f64, events()), 1..150),
    ) {
        let mut world = World::new(entries, budget);
        for (entry, chance, event) in steps {
            (world.scene.on, world.scene.chance) = (entry % entries, chance);
            world.happens(&event);
            world.check();
        }
        world.recovers();
    }
}
