//! A fork while other threads use the locks.

use std::sync::Arc;
use std::time::Duration;

use shuttle::thread;

use super::stage::{self, caller, ok};
use super::{explore, time};
use crate::fork::{Locked, fork_around};

#[test]
fn no_lock_is_held_at_the_moment_of_a_fork() {
    explore(|| {
        let value = Arc::new(Locked::new(0));
        let lockers = [(); 2].map(|()| {
            let value = value.clone();
            thread::spawn(move || {
                for _ in 0..3 {
                    let mut value = value.lock();
                    *value += 1;
                    thread::yield_now();
                }
            })
        });
        let forkers = [(); 2].map(|()| {
            let value = value.clone();
            thread::spawn(move || {
                fork_around(|| {
                    assert!(!value.is_held());
                    thread::yield_now();
                    assert!(!value.is_held());
                });
            })
        });
        lockers.into_iter().chain(forkers).for_each(|thread| thread.join().unwrap());
        assert_eq!(*value.lock(), 6);
    });
}

#[test]
fn callers_are_served_though_the_process_forks() {
    explore(|| {
        let (client, endpoint) = stage::client(|_, _| stage::token("one"));
        let callers = [caller(&client), caller(&client)];
        for _ in 0..2 {
            fork_around(thread::yield_now);
        }
        for caller in callers {
            assert_eq!(caller.join().unwrap(), ok("one"));
        }
        assert_eq!(time::elapsed(), Duration::ZERO, "somebody overslept");
        stage::end(client, &endpoint);
    });
}
