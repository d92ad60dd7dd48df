//! When a wait ends: at the caller's own deadline, and never with an expired token.

use std::sync::Arc;
use std::time::Duration;

use shuttle::thread::{self, JoinHandle};

use super::stage::{self, Call, Got, SECOND, at, caller, got, ok};
use super::{Time, explore, explore_in, time};
use crate::clock::{BootTime, Clock};
use crate::process::Mailbox;
use crate::{Client, ErrorKind, GetOptions};

/// A caller on its own thread; returns its result and the time.
fn bounded(client: &Client, timeout: Duration) -> JoinHandle<(Got, Duration)> {
    let client = client.clone();
    thread::spawn(move || {
        let options = GetOptions { timeout: Some(timeout), ..GetOptions::default() };
        (got(client.get(&options)), time::elapsed())
    })
}

/// A token of twenty minutes in its hard window is dropped while callers wait for its successor. At
/// half of its remaining life there is nothing to hand out, so they continue to wait.
#[test]
fn a_waiter_whose_token_is_dropped_waits_until_its_own_deadline() {
    explore(|| {
        let hard = 1180 * SECOND;
        let (client, endpoint) = stage::client(|number, _| match number {
            1 => stage::token("one"),
            _ => stage::token("two").after(14 * SECOND),
        });
        assert_eq!(got(client.token()), ok("one"));
        time::sleep_until(hard);
        let waits = bounded(&client, 30 * SECOND);
        let impatient = bounded(&client, 12 * SECOND);
        let call = Call::new(&client, &GetOptions::default());
        let options = GetOptions { timeout: Some(12 * SECOND), ..GetOptions::default() };
        let impatient_call = Call::new(&client, &options);
        let dropped = client.clone();
        let drops = at(hard + 5 * SECOND, move || dropped.invalidate_value("one"));
        assert_eq!(impatient.join().unwrap(), (Err(ErrorKind::Timeout), hard + 12 * SECOND));
        assert_eq!(impatient_call.wait(), Err(ErrorKind::Timeout));
        assert_eq!(time::elapsed(), hard + 12 * SECOND, "timed out early or late");
        assert_eq!(waits.join().unwrap(), (ok("two"), hard + 14 * SECOND));
        assert_eq!(call.wait(), ok("two"));
        drops.join().unwrap();
        assert_eq!(endpoint.requests(), 2);
        stage::end(client, &endpoint);
        assert!(call.is_over() && impatient_call.is_over());
    });
}

/// Tokens of six seconds on a machine that delays every thread: no call times out early, and every
/// call is answered.
#[test]
fn no_call_times_out_early_however_late_threads_wake() {
    explore_in(Time::Restless, || {
        let (client, endpoint) = stage::client(|number, _| {
            let took = SECOND.mul_f64(time::chance());
            stage::token_of(&format!("number{number}"), 6).after(took)
        });
        let timeout = 30 * SECOND;
        let callers = [false, true].map(|by_function| {
            let client = client.clone();
            thread::spawn(move || {
                let options = GetOptions { timeout: Some(timeout), ..GetOptions::default() };
                for _ in 0..2 {
                    let begin = time::elapsed();
                    let outcome = match by_function {
                        true => Call::new(&client, &options).wait(),
                        false => got(client.get(&options)),
                    };
                    if outcome == Err(ErrorKind::Timeout) {
                        let took = time::elapsed() - begin;
                        assert!(took >= timeout, "timed out after {took:?}");
                    }
                    // To where the token is about to be renewed, or to expire.
                    time::sleep(SECOND * 3 + SECOND.mul_f64(3.0 * time::chance()));
                }
            })
        });
        callers.into_iter().for_each(|caller| caller.join().unwrap());
        stage::end(client, &endpoint);
    });
}

/// The second callback is called by another thread, slightly after the token has expired.
#[test]
fn a_slow_callback_does_not_pass_an_expired_token_to_the_next() {
    explore(|| {
        let (client, endpoint) = stage::client(|number, _| {
            stage::token_of(&format!("number{number}"), 1).after(SECOND * 19 / 20)
        });
        let outcomes = [(); 2].map(|()| {
            let told = Arc::new(Mailbox::default());
            let tells = told.clone();
            let slow = move |outcome: Result<crate::Token, crate::Error>| {
                let is_alive = outcome.as_ref().is_ok_and(|token| token.expires_at() > time::now());
                tells.put(is_alive);
                time::sleep(3 * SECOND);
            };
            client.get_async(&GetOptions::default(), slow).unwrap();
            told
        });
        let waits = caller(&client);
        for told in outcomes {
            assert_eq!(told.take(&Clock::System, BootTime::from_nanos(u64::MAX)), Some(true));
        }
        assert_eq!(waits.join().unwrap(), ok("number1"), "a thread does not wait for callbacks");
        assert_eq!(endpoint.requests(), 2);
        stage::end(client, &endpoint);
    });
}
