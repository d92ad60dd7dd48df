//! Random calls of all kinds at the same time.

use std::sync::Arc;
use std::time::Duration;

use shuttle::thread;

use super::stage::{self, Answer, Call, Got, SECOND, got, ok};
use super::{Time, explore_in, time};
use crate::{Cancel, Client, ErrorKind, GetOptions};

/// A random answer of the endpoint, after a random time.
fn any_answer(number: usize) -> Answer {
    let answer = match (time::chance() * 6.0) as u32 {
        0 => stage::failure(503, "server_error"),
        1 => stage::failure(401, "invalid_client"),
        2 => stage::failure(400, "invalid_scope"),
        _ => stage::token(&format!("number{number}")),
    };
    answer.after(SECOND.mul_f64((time::chance() * 20.0).floor()))
}

/// One random call. Calls with callbacks still to be called are added to `calls`.
fn do_something(client: &Client, cancel: &Cancel, calls: &mut Vec<Arc<Call>>) {
    let own = GetOptions::default();
    let bounded =
        GetOptions { timeout: Some(2 * SECOND), cancel: Some(cancel), ..GetOptions::default() };
    let at_once = GetOptions { timeout: Some(Duration::ZERO), ..GetOptions::default() };
    match (time::chance() * 12.0) as u32 {
        0 => calls.push(Call::new(client, &own)),
        1 => calls.push(Call::new(client, &bounded)),
        2 => calls.push(Call::new(client, &at_once)),
        3 => check(got(client.get(&at_once))),
        4 => check(got(client.get(&bounded))),
        5 => cancel.trigger(),
        6 => client.wake(),
        7 => client.rotate("id", "new").unwrap_or_default(),
        8 => {
            if let Ok(token) = client.token() {
                client.invalidate(&token);
            }
        }
        9 => time::sleep(1100 * SECOND),
        10 if time::chance() < 0.2 => client.close(),
        _ => check(got(client.token())),
    }
}

fn check(outcome: Got) {
    let is_expected = match &outcome {
        Ok(value) => value.starts_with("number"),
        Err(kind) => {
            !matches!(kind, ErrorKind::Internal | ErrorKind::InvalidArgument | ErrorKind::Config)
        }
    };
    assert!(is_expected, "{outcome:?}");
}

fn explore_mixtures(time: Time, keep_warm: &'static str) {
    explore_in(time, move || {
        let mut config = stage::config();
        config.set("keep_warm", keep_warm);
        let (client, endpoint) = stage::client_of(&config, |number, _| any_answer(number));
        let cancel = Cancel::new();
        let threads = [(); 3].map(|()| {
            let (client, cancel) = (client.clone(), cancel.clone());
            thread::spawn(move || {
                let mut calls = Vec::new();
                (0..3).for_each(|_| do_something(&client, &cancel, &mut calls));
                calls
            })
        });
        let calls = threads.map(|thread| thread.join().unwrap()).concat();
        calls.iter().for_each(|call| check(call.wait()));
        stage::end(client, &endpoint);
        assert!(calls.iter().all(Call::is_over));
    });
}

#[test]
fn every_call_ends_once_and_nothing_is_left() {
    explore_mixtures(Time::Quiet, "false");
    explore_mixtures(Time::Quiet, "true");
}

#[test]
fn every_call_ends_once_whatever_the_clock_does() {
    explore_mixtures(Time::Restless, "false");
    explore_mixtures(Time::Restless, "true");
}

/// Whatever happened to an entry that is kept warm, in the end it is warm.
#[test]
fn an_entry_stays_warm_whatever_is_done_to_it() {
    explore_in(Time::Quiet, || {
        let mut config = stage::config();
        config.set("keep_warm", "true");
        let (client, endpoint) =
            stage::client_of(&config, |_, _| stage::token("one").after(SECOND));
        let threads = [0, 900].map(|seconds| {
            let client = client.clone();
            thread::spawn(move || {
                time::sleep(seconds * SECOND + SECOND.mul_f64((time::chance() * 3.0).floor()));
                match (time::chance() * 3.0) as u32 {
                    0 => client.wake(),
                    1 => client.rotate("id", "new").unwrap(),
                    _ => client.invalidate_value("one"),
                }
            })
        });
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        for _ in 0..2 {
            time::sleep(700 * SECOND);
            let begin = time::elapsed();
            assert_eq!(got(client.token()), ok("one"));
            assert_eq!(time::elapsed(), begin, "a caller had to wait");
        }
        stage::end(client, &endpoint);
    });
}
