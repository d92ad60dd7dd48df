//! A fork while other threads use the locks.

use std::sync::Arc;
use std::time::Duration;

use shuttle::thread;

use super::stage::{self, caller, ok};
use super::{explore, time};
use crate::process::{
    AnyProcess, Kept, Locked, Mailbox, OneProcess, begin_epoch_in_scenario, fork_around,
    fork_without_waiting,
};

#[test]
fn no_lock_is_held_at_the_moment_of_a_fork() {
    explore(|| {
        let value = Arc::new(Locked::new(AnyProcess(0)));
        let lockers = [(); 2].map(|()| {
            let value = value.clone();
            thread::spawn(move || {
                for _ in 0..3 {
                    let mut value = value.lock();
                    value.0 += 1;
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
        assert_eq!(**value.lock(), 6);
    });
}

/// A fork that does not wait knows whether a thread was still inside, and the gate is open after
/// it.
#[test]
fn a_fork_that_gives_up_says_so_and_the_parent_goes_on() {
    explore(|| {
        let value = Arc::new(Locked::new(AnyProcess(0)));
        let lockers = [(); 2].map(|()| {
            let value = value.clone();
            thread::spawn(move || {
                let mut value = value.lock();
                value.0 += 1;
                thread::yield_now();
                value.0 += 1;
            })
        });
        fork_without_waiting(|begins_empty| assert!(begins_empty || !value.is_held()));
        lockers.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(**value.lock(), 4);
    });
}

/// The release of a lock wakes one that waits for it, which wakes the next.
#[test]
fn no_thread_oversleeps_the_release_of_a_lock() {
    explore(|| {
        let value = Arc::new(Locked::new(AnyProcess(0)));
        let lockers = [(); 3].map(|()| {
            let value = value.clone();
            thread::spawn(move || {
                let mut value = value.lock();
                thread::yield_now();
                value.0 += 1;
            })
        });
        lockers.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(**value.lock(), 3);
        assert_eq!(time::elapsed(), Duration::ZERO, "a wake-up was lost");
    });
}

/// The child of such a fork: the lock that will never be released is left alone, and all threads
/// find the same new one. The thread that came out of a signal handler releases the old.
#[test]
fn a_child_starts_with_one_new_value_behind_every_lock() {
    explore(|| {
        let value = Arc::new(Locked::new(AnyProcess(vec!["the parent's"])));
        let survivor = value.lock();
        begin_epoch_in_scenario();
        let lockers = ["one", "other"].map(|word| {
            let value = value.clone();
            thread::spawn(move || value.lock().push(word))
        });
        lockers.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(**survivor, ["the parent's"]);
        drop(survivor);
        value.lock().sort_unstable();
        assert_eq!(**value.lock(), ["one", "other"]);
    });
}

/// Threads of a child that find their parent's value: the first makes it the child's own, the
/// others find it done, and what was the parent's is dropped when the lock is free.
#[test]
fn a_parents_value_is_adopted_once() {
    explore(|| {
        let parents = Arc::new(());
        let value = Arc::new(Locked::inherited(OneProcess(vec![parents.clone()])));
        let lockers = [(); 2].map(|()| {
            let (value, parents) = (value.clone(), parents.clone());
            thread::spawn(move || {
                let mut value = value.lock();
                assert!(value.iter().all(|other| !Arc::ptr_eq(other, &parents)));
                value.push(Arc::new(()));
            })
        });
        lockers.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!((value.lock().len(), Arc::strong_count(&parents)), (2, 1));
    });
}

#[test]
fn a_kept_value_survives_in_a_child_that_starts_with_new_locks() {
    explore(|| {
        let value = Arc::new(Kept::new(AnyProcess(["first"; 2])));
        let lost = value.clone();
        thread::spawn(move || {
            // Half changed, with no thread left to finish.
            let mut lost = lost.lock();
            lost[0] = "second";
            std::mem::forget(lost);
        })
        .join()
        .unwrap();
        begin_epoch_in_scenario();
        let changer = {
            let value = value.clone();
            thread::spawn(move || {
                let mut value = value.lock();
                value[0] = "third";
                thread::yield_now();
                value[1] = "third";
            })
        };
        let seen = **value.lock();
        assert!(seen == ["first"; 2] || seen == ["third"; 2]);
        changer.join().unwrap();
        assert_eq!(**value.lock(), ["third"; 2]);
    });
}

#[test]
fn no_thread_oversleeps_a_message_in_a_mailbox() {
    explore(|| {
        let mailbox = Arc::new(Mailbox::default());
        let putters = ["one", "other"].map(|word| {
            let mailbox = mailbox.clone();
            thread::spawn(move || mailbox.put(word))
        });
        let end = crate::clock::Clock::System.now().after(Duration::from_secs(30));
        assert!(mailbox.take(&crate::clock::Clock::System, end).is_some());
        let put = putters.map(|thread| thread.join().unwrap());
        assert!(put.into_iter().any(|is_put| is_put));
        assert_eq!(time::elapsed(), Duration::ZERO, "a wake-up was lost");
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
        assert_eq!(time::elapsed(), Duration::ZERO, "a wake-up was lost");
        stage::end(client, &endpoint);
    });
}
