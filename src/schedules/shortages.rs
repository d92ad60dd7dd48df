//! A system that cannot start threads, temporarily or permanently.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use shuttle::thread;

use super::shortage::{self, OF_ALL, OF_CLOCKS, OF_WORKERS};
use super::stage::{self, Answer, Call, SECOND, at, caller, got, ok};
use super::{explore, time};
use crate::clock::Clock;
use crate::config::options::LogLevel;
use crate::events::EventQueue;
use crate::process::{Callback, Mailbox};
use crate::threads::{self, Job, Rank};
use crate::{Cancel, Client, Config, ErrorKind, Event, EventFn, EventKind, GetOptions};

const HALF: Duration = Duration::from_millis(500);
/// The clock watcher's first retry comes this soon.
const TRIES_AGAIN: Duration = Duration::from_millis(50);

fn warm() -> Config {
    let mut config = stage::config();
    config.set("keep_warm", "true");
    config
}

/// Tokens of twenty minutes, numbered.
fn numbered(number: usize, _: &str) -> Answer {
    stage::token(&number.to_string())
}

fn within(timeout: Duration) -> GetOptions<'static> {
    GetOptions { timeout: Some(timeout), ..GetOptions::default() }
}

/// Asks with a callback; counts how often it was called and dropped.
fn ask(client: &Client) -> (Result<(), crate::Error>, Arc<AtomicUsize>, Arc<()>) {
    let (calls, kept) = (Arc::new(AtomicUsize::new(0)), Arc::new(()));
    let (counted, held) = (calls.clone(), kept.clone());
    let accepted = client.get_async(&GetOptions::default(), move |_| {
        let _held = &held;
        counted.fetch_add(1, Ordering::SeqCst);
    });
    (accepted, calls, kept)
}

// --- callbacks that must be called ---------------------------------------------------------------

/// How a wait ends while its fetch continues.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    TimesOut,
    IsCancelled,
    IsClosed,
    IsFreed,
}

const ENDS: [(End, ErrorKind); 4] = [
    (End::TimesOut, ErrorKind::Timeout),
    (End::IsCancelled, ErrorKind::Cancelled),
    (End::IsClosed, ErrorKind::Closed),
    (End::IsFreed, ErrorKind::Closed),
];

/// A wait that ends after a second, while no thread can be started. Returns when its callback is
/// called.
fn answered_at(end: End, kind: ErrorKind, shortage_ends: Option<Duration>) -> Duration {
    let (client, endpoint) = stage::client(|_, _| stage::token("late").after(9 * SECOND));
    let cancel = Cancel::new();
    let timeout = if end == End::TimesOut { SECOND } else { 8 * SECOND };
    let call = Call::new(&client, &GetOptions { cancel: Some(&cancel), ..within(timeout) });
    let begins = at(HALF, || shortage::begin(OF_ALL));
    let ends = shortage_ends.map(|when| at(when, shortage::end));
    let ender = {
        let client = client.clone();
        at(SECOND, move || match end {
            End::TimesOut => {}
            End::IsCancelled => cancel.trigger(),
            End::IsClosed => client.close(),
            End::IsFreed => drop(client),
        })
    };
    let client = Some(client).filter(|_| end != End::IsFreed);
    assert_eq!(call.wait(), Err(kind));
    let answered = time::elapsed();
    begins.join().unwrap();
    ends.map(|ends| ends.join().unwrap());
    ender.join().unwrap();
    shortage::end();
    drop(client);
    time::sleep(900 * SECOND);
    assert_eq!(Arc::strong_count(&endpoint), 1, "something still holds the client");
    assert!(call.is_over(), "{end:?}: not answered exactly once");
    answered
}

#[test]
fn a_failed_thread_start_is_retried_and_the_call_answered_once() {
    for (end, kind) in ENDS {
        explore(move || {
            let shortage_ends = SECOND + 2 * TRIES_AGAIN;
            let answered = answered_at(end, kind, Some(shortage_ends));
            let latest = shortage_ends + 4 * TRIES_AGAIN;
            assert!((shortage_ends..latest).contains(&answered), "{end:?}: {answered:?}");
        });
    }
}

/// If there is no thread for this long, the clock watcher calls the callback itself.
#[test]
fn a_call_without_threads_is_still_answered_once() {
    for (end, kind) in ENDS {
        explore(move || {
            let answered = answered_at(end, kind, None);
            assert!((2 * SECOND..4 * SECOND).contains(&answered), "{end:?}: {answered:?}");
        });
    }
}

#[test]
fn a_call_without_a_clock_is_not_accepted() {
    explore(|| {
        let (client, endpoint) = stage::client(numbered);
        shortage::begin(OF_CLOCKS);
        let (accepted, calls, kept) = ask(&client);
        let error = accepted.unwrap_err();
        assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Internal, true));
        assert_eq!(Arc::strong_count(&kept), 1, "its callback has been dropped");
        let future = shuttle::future::block_on(client.token_async());
        // The fetch has been started nevertheless, and may have ended.
        assert!([ok("1"), Err(ErrorKind::Internal)].contains(&got(future)));
        assert_eq!(got(client.token()), ok("1"));
        // A cached token needs no thread.
        let at_hand = Call::new(&client, &GetOptions::default());
        assert_eq!(at_hand.wait(), ok("1"));
        shortage::end();
        assert_eq!(time::elapsed(), Duration::ZERO, "a wake-up was lost");
        stage::end(client, &endpoint);
        assert_eq!(calls.load(Ordering::SeqCst), 0);
    });
}

/// A call that relies on a thread which another call is about to start must not be left without
/// one.
#[test]
fn calls_during_a_failed_watcher_start_are_refused_or_answered() {
    explore(|| {
        let (client, endpoint) = stage::client(|_, _| stage::token("late").after(9 * SECOND));
        shortage::begin_for(OF_CLOCKS, 1);
        let asks = [(); 3].map(|()| {
            let client = client.clone();
            thread::spawn(move || {
                let told = Arc::new(Mailbox::default());
                let tell = told.clone();
                let accepted = client.get_async(&within(SECOND), move |outcome| {
                    tell.put(got(outcome));
                });
                match accepted {
                    Ok(()) => {
                        let outcome = told.take(&Clock::System, time::now().after(60 * SECOND));
                        assert_eq!(outcome, Some(Err(ErrorKind::Timeout)));
                        assert_eq!(time::elapsed(), SECOND);
                        1
                    }
                    Err(error) => {
                        assert_eq!(error.kind(), ErrorKind::Internal);
                        0
                    }
                }
            })
        });
        let accepted: usize = asks.into_iter().map(|ask| ask.join().unwrap()).sum();
        assert!(accepted >= 2, "one start failed, {accepted} of 3 were accepted");
        stage::end(client, &endpoint);
    });
}

// --- fetches ---------------------------------------------------------------------------------

#[test]
fn callers_without_a_thread_fail_at_once_and_nothing_is_remembered() {
    explore(|| {
        let (client, endpoint) = stage::client(numbered);
        shortage::begin(OF_ALL);
        let callers = [caller(&client), caller(&client), caller(&client)];
        for caller in callers {
            assert_eq!(caller.join().unwrap(), Err(ErrorKind::Internal));
        }
        let no_wait = client.get(&within(Duration::ZERO)).unwrap_err();
        assert_eq!((no_wait.kind(), no_wait.is_retryable()), (ErrorKind::Internal, true));
        assert_eq!(client.stats(None).unwrap().failures, 0);
        shortage::end();
        assert_eq!(got(client.token()), ok("1"));
        assert_eq!(time::elapsed(), Duration::ZERO, "a call waited");
        stage::end(client, &endpoint);
    });
}

/// Two jobs that cannot be started must not rely on each other.
#[test]
fn no_job_is_left_behind_by_starts_that_fail_together() {
    explore(|| {
        let (runs, refusals) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        shortage::begin_for(OF_WORKERS, 2);
        let submits = [Rank::Background, Rank::Awaited, Rank::Store].map(|rank| {
            let (runs, refusals) = (runs.clone(), refusals.clone());
            thread::spawn(move || {
                let job = Job::or_refused(SECOND, move |there_is_a_thread| {
                    let counter = if there_is_a_thread.is_ok() { runs } else { refusals };
                    counter.fetch_add(1, Ordering::SeqCst);
                });
                usize::from(threads::submit(&job, rank).is_err())
            })
        });
        let told: usize = submits.into_iter().map(|submit| submit.join().unwrap()).sum();
        time::sleep(HALF);
        let refused = refusals.load(Ordering::SeqCst);
        assert!(told <= refused, "{told} were told, {refused} refused");
        assert_eq!(runs.load(Ordering::SeqCst) + refused, 3);
    });
}

/// A caller's job may be the one that another thread has just failed to start.
#[test]
fn no_call_waits_for_a_start_that_has_failed_in_another_thread() {
    explore(|| {
        let clients = [(); 2].map(|()| stage::client(numbered));
        shortage::begin(OF_ALL);
        // A job lacks a thread: each call tries to start what waits.
        assert_eq!(got(clients[0].0.token()), Err(ErrorKind::Internal));
        let tries = thread::spawn(threads::start_waiting_jobs);
        let callers = [caller(&clients[0].0), caller(&clients[1].0)];
        for caller in callers {
            assert_eq!(caller.join().unwrap(), Err(ErrorKind::Internal));
        }
        tries.join().unwrap();
        assert_eq!(time::elapsed(), Duration::ZERO, "a call waited");
        shortage::end();
        clients.into_iter().for_each(|(client, endpoint)| stage::end(client, &endpoint));
    });
}

/// A call does not wait for a thread that is busy for long.
#[test]
fn a_fetch_does_not_wait_for_busy_threads() {
    explore(|| {
        let (slow, slow_endpoint) = stage::client(|_, _| stage::token("slow").after(9 * SECOND));
        let (client, endpoint) = stage::client(numbered);
        let waits = caller(&slow);
        time::sleep_until(HALF);
        shortage::begin(OF_WORKERS);
        let ends = at(SECOND, shortage::end);
        assert_eq!(got(client.token()), ok("1"));
        assert!(time::elapsed() < 3 * SECOND, "it waited for the other: {:?}", time::elapsed());
        ends.join().unwrap();
        assert_eq!(waits.join().unwrap(), ok("slow"));
        drop(slow);
        stage::end(client, &endpoint);
        assert_eq!(Arc::strong_count(&slow_endpoint), 1);
    });
}

/// Without a clock watcher, a fetch keeps its thread while it pauses. A wake at that moment finds
/// no other thread.
#[test]
fn a_wake_ends_a_pause_that_is_just_beginning() {
    const MOMENT: Duration = Duration::from_millis(1);
    explore(|| {
        let (client, endpoint) = stage::client(|number, _| match number {
            1 => stage::failure(500, "server_error").after(SECOND),
            _ => stage::token("woken"),
        });
        let waits = caller(&client);
        let begins = at(HALF, || shortage::begin(OF_ALL));
        let wakes = {
            let client = client.clone();
            at(SECOND, move || {
                client.wake();
                // The one before may have come before the pause.
                time::sleep(MOMENT);
                client.wake();
            })
        };
        assert_eq!(waits.join().unwrap(), ok("woken"));
        let took = time::elapsed();
        assert!(took <= SECOND + MOMENT, "it was not woken: {took:?}");
        begins.join().unwrap();
        wakes.join().unwrap();
        shortage::end();
        stage::end(client, &endpoint);
    });
}

// --- without a caller ----------------------------------------------------------------------------

#[test]
fn a_warm_client_created_without_any_thread_recovers_by_itself() {
    explore(|| {
        shortage::begin(OF_ALL);
        let (client, endpoint) = stage::client_of(&warm(), numbered);
        assert_eq!(got(client.token()), Err(ErrorKind::Internal));
        client.wake();
        client.rotate("id", "new").unwrap();
        assert_eq!(endpoint.requests(), 0);
        shortage::end();
        // Any further call of the library starts the clock watcher.
        assert!(client.stats(None).is_ok());
        time::sleep(9 * SECOND);
        assert_eq!(endpoint.requests(), 1);
        assert_eq!(got(client.token()), ok("1"));
        stage::end(client, &endpoint);
    });
}

/// The same without any further call of that client: another client's fetch is enough.
#[test]
fn a_library_thread_starts_jobs_that_could_not_be_started() {
    explore(|| {
        shortage::begin(OF_ALL);
        let (client, endpoint) = stage::client_of(&warm(), numbered);
        let (other, others_endpoint) = stage::client(numbered);
        shortage::end();
        assert_eq!(got(other.token()), ok("1"));
        time::sleep(9 * SECOND);
        assert_eq!(endpoint.requests(), 1);
        stage::end(other, &others_endpoint);
        stage::end(client, &endpoint);
    });
}

/// The same without any further call at all: an existing idle thread is enough.
#[test]
fn an_idle_thread_starts_jobs_that_could_not_be_started() {
    explore(|| {
        let (other, others_endpoint) = stage::client(numbered);
        assert_eq!(got(other.token()), ok("1"));
        shortage::begin(OF_ALL);
        // The idle thread runs its fetch; there is no clock watcher.
        let (client, endpoint) = stage::client_of(&warm(), numbered);
        time::sleep(SECOND);
        shortage::end();
        time::sleep(901 * SECOND);
        assert_eq!(endpoint.requests(), 2, "the token was not renewed");
        stage::end(other, &others_endpoint);
        stage::end(client, &endpoint);
    });
}

#[test]
fn a_renewal_due_during_a_shortage_happens_after_it() {
    explore(|| {
        let (client, endpoint) = stage::client_of(&warm(), numbered);
        assert_eq!(got(client.token()), ok("1"));
        shortage::begin(OF_WORKERS);
        // Past the jitter, before the end of the soft window: every hit is a caller that tries.
        time::sleep(950 * SECOND);
        for _ in 0..3 {
            assert_eq!(got(client.token()), ok("1"));
        }
        let stats = client.stats(None).unwrap();
        assert_eq!((stats.requests, stats.failures), (1, 0));
        shortage::end();
        // Without a caller: at most a minute after the shortage.
        time::sleep(61 * SECOND);
        assert_eq!(endpoint.requests(), 2);
        assert_eq!(got(client.token()), ok("2"));
        stage::end(client, &endpoint);
    });
}

#[test]
fn a_promised_fetch_stays_promised_during_a_shortage() {
    explore(|| {
        let (client, endpoint) = stage::client(numbered);
        client.invalidate(&client.token().unwrap());
        let no_wait = within(Duration::ZERO);
        assert_eq!(got(client.get(&no_wait)), Err(ErrorKind::Pending));
        time::sleep(HALF);
        // The thread that fetched is idle: it must be gone or busy.
        let (slow, slow_endpoint) = stage::client(|_, _| stage::token("slow").after(60 * SECOND));
        let waits = caller(&slow);
        shortage::begin(OF_WORKERS);
        time::sleep_until(5 * SECOND);
        shortage::end();
        time::sleep(9 * SECOND);
        assert_eq!(endpoint.requests(), 2, "the promised token was not fetched");
        drop(slow);
        assert!(waits.join().is_ok());
        stage::end(client, &endpoint);
        time::sleep(60 * SECOND);
        assert_eq!(Arc::strong_count(&slow_endpoint), 1);
    });
}

// --- events ----------------------------------------------------------------------------------

/// A queue, the count of its delivered events, and something that its callback holds.
fn heard() -> (Arc<EventQueue>, Arc<AtomicUsize>, Arc<()>) {
    let (told, kept) = (Arc::new(AtomicUsize::new(0)), Arc::new(()));
    let (counted, held) = (told.clone(), kept.clone());
    let callback = Callback::new(EventFn::from(move |_: &Event| {
        let _held = &held;
        counted.fetch_add(1, Ordering::SeqCst);
    }));
    (EventQueue::new("", Some(callback), LogLevel::Off), told, kept)
}

#[test]
fn events_of_a_shortage_are_delivered_after_it() {
    explore(|| {
        let (queue, told, _kept) = heard();
        shortage::begin(OF_ALL);
        queue.tell(|| Event::new(EventKind::Warning, "first"));
        queue.tell(|| Event::new(EventKind::Warning, "second"));
        let tries = thread::spawn(threads::catch_up);
        shortage::end();
        tries.join().unwrap();
        threads::catch_up();
        time::sleep(9 * SECOND);
        assert_eq!(told.load(Ordering::SeqCst), 2);
    });
}

/// The same without any further call of the library.
#[test]
fn events_of_a_shortage_are_delivered_after_it_without_a_call() {
    explore(|| {
        let (queue, told, kept) = heard();
        shortage::begin(OF_WORKERS);
        let clock = threads::ClockHold::take().unwrap();
        queue.tell(|| Event::new(EventKind::Warning, "an event"));
        drop(clock);
        time::sleep(SECOND);
        assert_eq!(told.load(Ordering::SeqCst), 0);
        shortage::end();
        time::sleep(2 * SECOND);
        assert_eq!(told.load(Ordering::SeqCst), 1, "the clock watcher did not retry");
        queue.release();
        time::sleep(60 * SECOND);
        assert_eq!(Arc::strong_count(&kept), 1);
    });
}

/// Even before the shortage ends, if there is a worker thread: after its current work.
#[test]
fn an_existing_thread_delivers_the_events_of_a_shortage() {
    explore(|| {
        let (queue, told, kept) = heard();
        let heard = queue.clone();
        let tells = move || {
            shortage::begin(OF_WORKERS);
            heard.tell(|| Event::new(EventKind::Warning, "an event"));
            time::sleep(SECOND);
        };
        threads::submit(&Job::new(SECOND, tells), Rank::Awaited).unwrap();
        time::sleep(HALF);
        assert_eq!(told.load(Ordering::SeqCst), 0);
        time::sleep(SECOND);
        assert_eq!(told.load(Ordering::SeqCst), 1, "the thread did not get to it");
        shortage::end();
        queue.release();
        time::sleep(60 * SECOND);
        assert_eq!(Arc::strong_count(&kept), 1);
    });
}

#[test]
fn a_callback_is_dropped_even_if_its_events_cannot_be_delivered() {
    for is_for_ever in [true, false] {
        explore(move || {
            let (queue, told, kept) = heard();
            shortage::begin(OF_ALL);
            queue.tell(|| Event::new(EventKind::Warning, "never told"));
            let tries = thread::spawn(threads::catch_up);
            if !is_for_ever {
                shortage::end();
            }
            queue.release();
            tries.join().unwrap();
            time::sleep(60 * SECOND);
            assert_eq!(Arc::strong_count(&kept), 1, "the callback is still held");
            assert!(told.load(Ordering::SeqCst) <= 1);
        });
    }
}
