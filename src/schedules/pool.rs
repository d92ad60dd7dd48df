//! The library's own threads when they have just become idle, or are about to end.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use shuttle::thread;

use super::{Time, explore, explore_in, time};
use crate::clock::{BootTime, Clock};
use crate::process::Mailbox;
use crate::threads::{self, Job, Rank};

const LONG: Duration = Duration::from_secs(60);
/// An idle thread ends after this time.
const IDLE: Duration = Duration::from_secs(10);
const FOREVER: BootTime = BootTime::from_nanos(u64::MAX);

fn submit(done: &Arc<Mailbox<()>>, runs: &Arc<AtomicUsize>) -> Arc<Job> {
    let (done, runs) = (done.clone(), runs.clone());
    let job = Job::new(LONG, move || {
        runs.fetch_add(1, Ordering::SeqCst);
        done.put(());
    });
    threads::submit(&job, Rank::Background).unwrap();
    job
}

#[test]
fn a_job_submitted_while_a_thread_ends_runs_at_once() {
    explore(|| {
        let runs = Arc::new(AtomicUsize::new(0));
        for round in 0..3 {
            time::sleep_until(round * IDLE);
            let done = Arc::new(Mailbox::default());
            submit(&done, &runs);
            assert!(done.take(&Clock::System, FOREVER).is_some());
            assert_eq!(time::elapsed(), round * IDLE, "the job waited");
        }
        assert_eq!(runs.load(Ordering::SeqCst), 3);
    });
}

/// The thread that hands out a job may be delayed for long at that moment.
#[test]
fn a_job_submitted_while_a_thread_ends_is_not_lost_in_a_suspend() {
    explore_in(Time::Restless, || {
        let runs = Arc::new(AtomicUsize::new(0));
        for round in 1..=2 {
            submit(&Arc::default(), &runs);
            time::sleep(IDLE);
            submit(&Arc::default(), &runs);
            // Long enough for an existing thread, whatever the clock does to it.
            time::sleep(10 * LONG);
            assert_eq!(runs.load(Ordering::SeqCst), 2 * round);
        }
    });
}

#[test]
fn jobs_from_two_threads_are_done_once_though_hastened() {
    explore(|| {
        let runs = Arc::new(AtomicUsize::new(0));
        let two = [(); 2].map(|()| {
            let runs = runs.clone();
            thread::spawn(move || {
                for _ in 0..2 {
                    let done = Arc::new(Mailbox::default());
                    threads::hasten(&submit(&done, &runs));
                    assert!(done.take(&Clock::System, FOREVER).is_some());
                }
            })
        });
        two.into_iter().for_each(|one| one.join().unwrap());
        assert_eq!(time::elapsed(), Duration::ZERO, "a job waited");
        time::sleep(LONG);
        assert_eq!(runs.load(Ordering::SeqCst), 4);
    });
}

/// A waiter may come before the job has been submitted.
#[test]
fn a_hastening_that_overtakes_the_submission_is_not_lost() {
    explore(|| {
        let busy = [(); 8].map(|()| Job::new(LONG, || time::sleep(LONG)));
        for job in &busy {
            threads::submit(job, Rank::Background).unwrap();
        }
        let (done, is_submitted) = (Arc::new(Mailbox::default()), Arc::new(AtomicUsize::new(0)));
        let (told, seen) = (done.clone(), is_submitted.clone());
        let job = Job::new(LONG, move || {
            told.put(seen.load(Ordering::SeqCst));
        });
        let hastened = job.clone();
        let hastens = thread::spawn(move || threads::hasten(&hastened));
        is_submitted.store(1, Ordering::SeqCst);
        threads::submit(&job, Rank::Background).unwrap();
        assert_eq!(done.take(&Clock::System, FOREVER), Some(1), "it began before it was submitted");
        assert_eq!(time::elapsed(), Duration::ZERO, "the hastening was lost");
        hastens.join().unwrap();
    });
}

/// Renewals use a few threads: the last ones wait for the first, and no longer.
#[test]
fn jobs_beyond_the_limit_are_done() {
    explore(|| {
        let runs = Arc::new(AtomicUsize::new(0));
        let done = [(); 10].map(|()| {
            let done = Arc::new(Mailbox::default());
            submit(&done, &runs);
            done
        });
        done.iter().for_each(|done| assert!(done.take(&Clock::System, FOREVER).is_some()));
        assert_eq!(time::elapsed(), Duration::ZERO, "a job waited");
        assert_eq!(runs.load(Ordering::SeqCst), 10);
    });
}

#[test]
fn timers_ring_in_time_though_the_watcher_leaves() {
    explore(|| {
        let owner = Arc::new(());
        for round in 0..3 {
            // The watcher has been idle for so long that it is about to end.
            time::sleep(IDLE);
            let begin = time::elapsed();
            let rung = [1, 2].map(|seconds| {
                let rung = Arc::new(Mailbox::default());
                let (ring, due) = (rung.clone(), time::now().after(Duration::from_secs(seconds)));
                let weak = Arc::downgrade(&owner);
                thread::spawn(move || {
                    threads::at(due, weak, move |_| {
                        ring.put(time::now() == due);
                    });
                });
                rung
            });
            for rung in rung {
                assert_eq!(rung.take(&Clock::System, FOREVER), Some(true), "round {round}");
            }
            assert_eq!(time::elapsed(), begin + Duration::from_secs(2));
        }
    });
}
