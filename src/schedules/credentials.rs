//! Fetches that wait for their credentials, and what else happens meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::stage::{Got, SECOND, Scripted, at, client_of, end, failure, got, ok, token};
use super::{explore, time};
use crate::{Client, Config, Credentials, ErrorKind, GetOptions};

/// A client whose credentials function takes this long and returns "new" after a refusal. The
/// endpoint refuses every other secret.
fn client(takes: Duration) -> (Client, Arc<Scripted>, Arc<AtomicUsize>) {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    let mut config = Config::new();
    config.set("scope", "a").on_credentials(move |refused: bool| {
        counted.fetch_add(1, Ordering::SeqCst);
        time::sleep(takes);
        Some(Credentials::new("id", if refused { "new" } else { "old" }))
    });
    let (client, scripted) = client_of(&config, |_, form| match form.contains("old") {
        true => failure(401, "invalid_client"),
        false => token("good"),
    });
    (client, scripted, calls)
}

fn caller(client: &Client, scope: &'static str) -> shuttle::thread::JoinHandle<Got> {
    let client = client.clone();
    shuttle::thread::spawn(move || {
        got(client.get(&GetOptions { scope: Some(scope), ..GetOptions::default() }))
    })
}

#[test]
fn callers_of_all_scopes_are_served_by_the_pair_that_one_of_them_tries_out() {
    explore(|| {
        let (client, scripted, _) = client(Duration::ZERO);
        let callers = ["a", "b", "c"].map(|scope| caller(&client, scope));
        for caller in callers {
            assert_eq!(caller.join().unwrap(), ok("good"));
        }
        assert_eq!(time::elapsed(), Duration::ZERO, "a call waited for a time limit");
        assert!(scripted.requests() <= 8, "{} requests", scripted.requests());
        end(client, &scripted);
    });
}

#[test]
fn a_credentials_function_slower_than_a_fetch_still_serves_its_waiters() {
    explore(|| {
        let (client, scripted, calls) = client(12 * SECOND);
        let callers = ["a", "a", "b"].map(|scope| caller(&client, scope));
        for caller in callers {
            assert_eq!(caller.join().unwrap(), ok("good"));
        }
        assert_eq!(time::elapsed(), 24 * SECOND);
        assert!(calls.load(Ordering::SeqCst) <= 8);
        end(client, &scripted);
    });
}

#[test]
fn a_rotation_while_credentials_arrive_leaves_no_waiter() {
    explore(|| {
        let (client, scripted, _) = client(SECOND);
        let callers = ["a", "b"].map(|scope| caller(&client, scope));
        let rotated = client.clone();
        let rotation = at(SECOND, move || rotated.rotate("id", "rotated").unwrap());
        for caller in callers {
            // A refusal just before the rotation stands.
            let got = caller.join().unwrap();
            assert!([ok("good"), Err(ErrorKind::InvalidClient)].contains(&got), "{got:?}");
        }
        rotation.join().unwrap();
        assert_eq!(time::elapsed(), SECOND, "a call waited for a read that had ended");
        end(client, &scripted);
    });
}

#[test]
fn a_close_while_credentials_arrive_ends_every_wait_and_leaves_nothing() {
    explore(|| {
        let (client, scripted, _) = client(SECOND);
        let callers = ["a", "b"].map(|scope| caller(&client, scope));
        let closed = client.clone();
        let close = at(SECOND, move || closed.close());
        for caller in callers {
            let got = caller.join().unwrap();
            assert!([ok("good"), Err(ErrorKind::Closed)].contains(&got), "{got:?}");
        }
        close.join().unwrap();
        assert_eq!(time::elapsed(), SECOND);
        end(client, &scripted);
    });
}

#[test]
fn callers_that_leave_while_credentials_arrive_do_not_affect_others() {
    explore(|| {
        let (client, scripted, _) = client(2 * SECOND);
        let hasty = client.clone();
        let hasty = shuttle::thread::spawn(move || {
            let timeout = Some(2 * SECOND);
            got(hasty.get(&GetOptions { timeout, ..GetOptions::default() }))
        });
        let second = client.clone();
        let second = shuttle::thread::spawn(move || {
            time::sleep_until(2 * SECOND);
            got(second.token())
        });
        assert!([ok("good"), Err(ErrorKind::Timeout)].contains(&hasty.join().unwrap()));
        assert_eq!(second.join().unwrap(), ok("good"));
        end(client, &scripted);
    });
}
