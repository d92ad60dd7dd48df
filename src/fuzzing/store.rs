//! What a store may return.

use std::hash::{DefaultHasher, Hasher};
use std::time::Duration;

use super::bytes::Bytes;
use crate::cache::policy;
use crate::clock::BootTime;
use crate::config::options::Options;
use crate::credentials::Credentials;
use crate::scope::ScopeSet;
use crate::store::MAX_RECORD_BYTES;
use crate::store::record::{self, Clocks, Record};
use crate::store::seal::Seal;
use crate::token::MAX_TOKEN_BYTES;

const NOW: BootTime = BootTime::from_nanos(1_000_000_000_000_000);
const WALL_MS: i64 = 1_800_000_000_000;

/// A sealed record, changed anywhere, does not open; and what an opened one says is not trusted.
pub fn record(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let choices = bytes.byte();
    let scope = ScopeSet::parse("a b").expect("a scope");
    // A secret for each input: the fuzzer remembers sealed records, and puts them into other inputs.
    let mut hasher = DefaultHasher::new();
    hasher.write(data);
    let credentials = Credentials::new("id", format!("secret-{}", hasher.finish()));
    let seal = Seal::new(&Options::default(), &credentials, &scope);
    if choices & 1 == 0 {
        return check_text(bytes.rest(), &scope, choices & 2 != 0);
    }
    let at = bytes.number() as usize;
    let change = bytes.byte();
    let text = bytes.rest();
    assert!(seal.open(text).is_none());
    let sealed = seal.seal(text).expect("randomness");
    let fits = sealed.len() <= MAX_RECORD_BYTES;
    assert_eq!(seal.open(&sealed).is_some_and(|opened| *opened == text), fits);
    let mut changed = sealed.clone();
    match choices & 6 {
        0 => changed.truncate(at % sealed.len()),
        2 => changed.push(change),
        4 => changed.insert(at % sealed.len(), change),
        _ => changed[at % sealed.len()] ^= change.max(1),
    }
    assert!(changed == sealed || seal.open(&changed).is_none());
}

fn check_text(text: &[u8], scope: &ScopeSet, narrowed: bool) {
    let Ok(found) = Record::read(text, scope, narrowed) else { return };
    let granted = &found.granted;
    let value = granted.value.reveal();
    assert!((1..=MAX_TOKEN_BYTES).contains(&value.len()));
    assert!(value.bytes().all(|byte| byte.is_ascii_graphic()));
    assert!((Duration::from_secs(1)..=policy::MAX_LIFETIME).contains(&granted.lifetime));
    let has_all =
        ScopeSet::parse(&granted.scope).is_ok_and(|it| scope.missing_from(&it).is_empty());
    assert!(has_all || narrowed);
    assert!(record::is_of(text, value));
    for boot in [Some(found.asked.boot.clone()), Some("another".to_owned()), None] {
        let here = Clocks { boot, now: NOW, wall_ms: WALL_MS };
        let life = record::life(&found.asked, granted.lifetime, &here, &Options::default().policy);
        if let Ok(life) = life {
            assert!(life.expires_at() > NOW && life.requested_at <= NOW);
            assert!(life.expires_at() <= NOW.after(granted.lifetime), "it lives longer");
        }
    }
    let again = record::rewrite(granted, &found.asked);
    let again = Record::read(&again, scope, narrowed).expect("what was accepted once");
    assert_eq!(again.asked, found.asked);
    assert_eq!(again.granted.value, granted.value);
    assert_eq!((&again.granted.scope, again.granted.lifetime), (&granted.scope, granted.lifetime));
}

/// The replies of a Redis server are read alike however they arrive.
#[cfg(feature = "redis")]
pub fn reply(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let chunk = 1 + bytes.below(200);
    crate::store::redis::check_replies(bytes.rest(), chunk);
}
