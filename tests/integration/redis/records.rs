//! Records that are damaged, foreign or too old, on a server that returns them as they are.

use super::server::{Redis, Reply};
use crate::support::{Server, builder, token, until};

/// A server, an endpoint whose tokens are all different, and a record of one.
struct World {
    redis: Redis,
    server: Server,
    lifetime: u64,
    key: Vec<u8>,
    record: Vec<u8>,
    _directory: tempfile::TempDir,
}

impl World {
    fn new(lifetime: u64) -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let redis = Redis::start(directory.path(), &[])?;
        let server = Server::new(move |before, _| token(&format!("token-{before}"), lifetime));
        let (key, record) = (vec![], vec![]);
        let mut world = Self { redis, server, lifetime, key, record, _directory: directory };
        assert_eq!(world.get("test-id"), "token-0");
        world.key = world.redis.record_keys().remove(0);
        world.record = world.stored();
        Some(world)
    }

    /// A token of a new client, as of a process that has just started.
    fn get(&self, id: &str) -> String {
        let client = builder(&self.server.url())
            .set("client_id", id)
            .set("store", &self.redis.url(""))
            // The machine may be busy.
            .set("store_timeout", "20s")
            .set("fetch_timeout", "20s")
            .set("request_timeout", "20s");
        client.build().unwrap().token().unwrap().value().to_owned()
    }

    fn stored(&self) -> Vec<u8> {
        match self.redis.run(&[b"GET", &self.key]) {
            Reply::Bytes(bytes) => bytes,
            other => panic!("{other:?}"),
        }
    }

    /// With the life that a new record has.
    fn put(&self, record: &[u8]) {
        self.put_for(self.lifetime, record);
    }

    fn put_for(&self, seconds: u64, record: &[u8]) {
        let seconds = seconds.to_string();
        let done = self.redis.run(&[b"SET", &self.key, record, b"EX", seconds.as_bytes()]);
        assert_eq!(done, Reply::Line("OK".to_owned()));
    }

    /// Puts this in the record's place: the next process asks the endpoint.
    fn is_missed(&self, record: &[u8], what: &str) {
        self.put(record);
        let before = self.server.requests();
        assert_eq!(self.get("test-id"), format!("token-{before}"), "{what}");
    }

    /// The same; it also replaces the record.
    fn is_replaced(&self, record: &[u8], what: &str) {
        self.is_missed(record, what);
        assert_ne!(self.stored(), record, "{what}");
    }
}

#[test]
fn a_record_with_any_byte_changed_or_missing_is_a_miss() {
    let Some(world) = World::new(1200) else { return };
    let record = &world.record;
    for at in 0..record.len() {
        let mut changed = record.clone();
        changed[at] ^= [1, 0x80, 0xff][at % 3];
        world.is_replaced(&changed, &format!("byte {at}"));
        world.is_replaced(&record[..at], &format!("cut after {at} bytes"));
    }
    world.is_replaced(&[record.as_slice(), b"\0"].concat(), "a byte more");
    world.is_replaced(&[record.as_slice(), record].concat(), "twice");
    world.is_replaced(&vec![0; 1 << 20], "a megabyte of zeros");
    // It was the changes.
    world.put(record);
    assert_eq!(world.get("test-id"), "token-0");
}

#[test]
fn a_record_of_another_client_is_a_miss() {
    let Some(world) = World::new(1200) else { return };
    assert_eq!(world.get("another-id"), "token-1");
    let keys = world.redis.record_keys();
    let theirs = keys.iter().find(|key| **key != world.key).unwrap();
    let Reply::Bytes(record) = world.redis.run(&[b"GET", theirs]) else { panic!() };
    world.is_replaced(&record, "another client's");
}

#[test]
fn a_record_replayed_after_its_end_is_a_miss() {
    let Some(world) = World::new(2) else { return };
    until("ended", || world.redis.record_keys().is_empty());
    world.is_missed(&world.record, "replayed");
}

#[test]
fn a_key_of_another_type_is_a_miss() {
    let Some(world) = World::new(1200) else { return };
    world.redis.run(&[b"DEL", &world.key]);
    world.redis.run(&[b"LPUSH", &world.key, &world.record]);
    assert_eq!(world.get("test-id"), "token-1");
}

#[test]
fn a_record_that_is_kept_for_longer_than_its_token_lives_is_a_miss() {
    let Some(world) = World::new(1200) else { return };
    world.put_for(3600, &world.record);
    assert_eq!(world.get("test-id"), "token-1");
    assert_ne!(world.stored(), world.record);
}
