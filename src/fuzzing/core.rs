//! The core's entry point: any inputs in any order, against the account of the property tests.

use std::time::Duration;

use super::bytes::Bytes;
use crate::cache::core::scenes::scene::{Trouble, failure};
use crate::cache::core::scenes::world::{Come, Event, World};
use crate::cache::flight::{Class, Failure};
use crate::cache::input::{Granted, Lock, NoCredentials, Record, SourceKind};
use crate::clock::BootTime;

const LONGEST: usize = 300;

/// The first four bytes set the client up; then each event has its entry, its luck, and what happens.
pub fn core(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let budget = bytes.one_of(&[1, 2, 3, 4, 600]);
    let (keep_warm, has_store) = (bytes.flag(), bytes.flag());
    let kind = bytes.one_of(&[SourceKind::Given, SourceKind::Files, SourceKind::Function]);
    let mut world = World::new(budget, keep_warm, has_store, kind);
    for _ in 0..LONGEST {
        if bytes.is_empty() {
            break;
        }
        world.is_on(bytes.below(3), bytes.share());
        world.happens(&event(&mut bytes));
        world.check();
    }
    world.recovers();
    world.closes();
}

fn event(bytes: &mut Bytes) -> Event {
    match bytes.below(16) {
        0 => Event::Pass(bytes.time()),
        1 => Event::Age(bytes.share() * 1.1),
        2 | 3 => Event::Next,
        4 | 5 => {
            let min_ttl = Duration::from_secs(if bytes.flag() { bytes.number() % 1500 } else { 0 });
            let at_once = bytes.below(3) == 0;
            let patience = bytes.flag().then(|| bytes.time());
            Event::Ask { min_ttl, at_once, patience }
        }
        6..=8 => Event::Comes(bytes.below(8), come(bytes)),
        9 => Event::Stray(bytes.number() as usize),
        10 => Event::Look,
        11 => Event::Late { refused: bytes.flag() },
        12 => Event::LookAtFiles,
        13 => Event::Invalidate { current: bytes.flag() },
        14 if bytes.flag() => Event::Wake,
        14 => Event::Rotate,
        _ => Event::Fork,
    }
}

fn come(bytes: &mut Bytes) -> Come {
    Come {
        thread: bytes.below(10) != 0,
        credentials: credentials(bytes),
        answer: if bytes.flag() { Ok(granted(bytes)) } else { Err(refusal(bytes)) },
        record: bytes.flag().then(|| record(bytes)),
        lock: bytes.one_of(&[
            Lock::Taken,
            Lock::Busy { is_successor: false },
            Lock::Busy { is_successor: true },
            Lock::Failed,
        ]),
        obtained: bytes.flag(),
        is_other: bytes.flag(),
        given: bytes.below(10) == 0,
    }
}

fn credentials(bytes: &mut Bytes) -> Option<Result<(bool, bool), NoCredentials<Trouble>>> {
    match bytes.below(8) {
        0 | 1 => None,
        2 => Some(Err(NoCredentials::Failed(Trouble::Credentials))),
        3 => Some(Err(NoCredentials::NoThread(Trouble::NoThread))),
        _ => Some(Ok((bytes.flag(), bytes.flag()))),
    }
}

fn lifetime(bytes: &mut Bytes) -> Duration {
    let some = u64::from(bytes.byte()).max(1);
    Duration::from_secs(bytes.one_of(&[1, 8, some, 1200, 86_400]))
}

fn granted(bytes: &mut Bytes) -> Granted {
    Granted { lifetime: lifetime(bytes), same_value: bytes.below(3) == 0 }
}

fn refusal(bytes: &mut Bytes) -> Failure<Trouble> {
    let class = bytes.one_of(&[
        Class::Transient,
        Class::TransientOnce,
        Class::RateLimited,
        Class::LoginRefused,
        Class::Terminal,
        Class::Refused,
    ]);
    let wait = Duration::from_secs(1 + bytes.number() % 900);
    let retry_after = (class == Class::RateLimited && bytes.flag()).then_some(wait);
    Failure { retry_after, ..failure(class) }
}

fn record(bytes: &mut Bytes) -> Record {
    let lifetime = lifetime(bytes);
    Record {
        // This long before now.
        requested_at: BootTime::ZERO.after(lifetime.mul_f64(bytes.share().min(0.999))),
        lifetime,
        granted_for: lifetime + bytes.time() / 10,
        fresh_until: BootTime::ZERO.after(bytes.time()),
        tried: u64::from(bytes.byte() % 3),
        again_at: BootTime::ZERO.after(bytes.time()),
        same_value: bytes.flag(),
        was_refused: bytes.flag(),
    }
}
