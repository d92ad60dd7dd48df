//! Credentials that hang or come late: whom that holds up, and for how long.

// A regular file that hangs is made by a lease.
#![cfg(target_os = "linux")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::alone;
use crate::support::credentials::*;
use crate::support::tls::Files;
use crate::support::{ID, Server, builder, options, until, value, with_timeout};
use tu_token::ErrorKind::{
    Closed, Config as BadConfig, Credentials as NoCredentials, InvalidClient, Pending, Timeout,
};
use tu_token::{Client, EventKind, GetOptions};

// --- files that hang ---------------------------------------------------------------------------

#[test]
fn no_call_hangs_with_a_file_that_hangs_while_a_refusal_is_remembered() {
    let _alone = alone();
    let server = server_that_takes_the_new_secret();
    let files = Files::new();
    let path = files.write("secret", OLD);
    let (client, clock) = of_file(&server, &path, &[]);
    assert_eq!(kind(client.token()), InvalidClient);
    let hung = Hung::new(&path);
    for round in 0..3 {
        clock.advance(SECOND);
        let asker = client.clone();
        let heard = soon("a call", move || {
            let short = with_timeout(Duration::from_millis(100));
            let by_function = ask(&asker, &short).recv_timeout(SOON).unwrap();
            let no_wait = asker.get(&with_timeout(Duration::ZERO));
            [kind(by_function), kind(asker.get(&short)), kind(no_wait), kind(asker.token())]
        });
        assert_eq!(heard, [InvalidClient; 4], "{round}");
    }
    let asker = client.clone();
    let heard = soon("a call", move || {
        asker.wake();
        let _ = asker.stats(None).unwrap();
        kind(asker.get(&with_timeout(Duration::ZERO)))
    });
    // It probes, and the probe waits for the file.
    assert_eq!(heard, Pending);
    hung.hold(NEW);
    until("the new secret is used", || {
        clock.advance(SECOND / 10);
        client.get(&with_timeout(Duration::ZERO)).is_ok()
    });
}

#[test]
fn a_client_is_not_made_with_a_file_that_hangs_and_the_error_names_it() {
    let _alone = alone();
    let files = Files::new();
    let good = files.write("good", OLD);
    let pipe = files.write("pipe", "");
    let _pipe = make_pipe(&pipe);
    let rows = [
        ("client_secret_file", &good, &pipe),
        ("client_id_file", &pipe, &good),
        ("ca_file", &good, &good),
    ];
    for (option, id, secret) in rows {
        let (id, secret, pipe) = (id.clone(), secret.clone(), pipe.clone());
        let error = soon(option, move || {
            let made = Client::builder()
                .set("client_id_file", &id)
                .set("client_secret_file", &secret)
                .set("scope", "a")
                .set("timeout", "300ms")
                .set("connect_timeout", "300ms");
            let made = if option == "ca_file" { made.set(option, &pipe) } else { made };
            made.build().unwrap_err()
        });
        assert_eq!(error.kind(), BadConfig, "{error}");
        let message = error.message();
        for word in [option, "pipe", "in time"] {
            assert!(message.contains(word), "{word}: {message}");
        }
    }
}

#[test]
fn a_file_that_hangs_holds_up_no_other_client() {
    let _alone = alone();
    let server = Server::tokens(1200);
    let files = Files::new();
    let path = files.write("secret", OLD);
    let (client, _) = of_file(&server, &path, &[]);
    let hung = Hung::new(&path);
    // More fetches than there are threads.
    let scopes: Vec<String> = (0..80).map(|scope| format!("scope-{scope}")).collect();
    let waiting: Vec<_> = scopes
        .iter()
        .map(|scope| ask(&client, &GetOptions { scope: Some(scope), ..GetOptions::default() }))
        .collect();
    until_they_wait(&client, &scopes[..1], &path);
    let (of_values, other) = (builder(&server.url()).build().unwrap(), files.write("other", NEW));
    let (of_another_file, _) = of_file(&server, &other, &[]);
    let tokens = soon("another client", move || [of_values.token(), of_another_file.token()]);
    assert!(tokens.iter().all(Result::is_ok), "{tokens:?}");
    hung.hold(NEW);
    for outcome in waiting {
        assert!(outcome.recv_timeout(2 * SOON).unwrap().is_ok());
    }
}

#[test]
fn whoever_waits_for_a_file_that_hangs_is_served_by_the_pair_that_was_read_last() {
    let _alone = alone();
    let server = Server::tokens(1200);
    let files = Files::new();
    let path = files.write("secret", OLD);
    let (client, clock, events) = of_file_with_events(&server, &path, &[("timeout", "1h")]);
    let hung = Hung::new(&path);
    // Whoever cannot wait so long is told what for.
    let hasty = ask(&client, &with_timeout(SECOND));
    until_they_wait(&client, &["a b".to_owned()], &path);
    clock.advance(SECOND);
    let error = hasty.recv_timeout(SOON).unwrap().unwrap_err();
    assert_eq!(error.kind(), Timeout, "{error}");
    assert!(error.message().contains(&format!("client_secret_file {path}")), "{error}");
    for round in 0..3 {
        // The clock stands still: it is not the fetch's time that ends.
        assert_eq!(value(client.token()), format!("token-{}", round + 1));
        clock.advance(Duration::from_secs(1200));
    }
    assert!(server.received().iter().all(|request| request.body.contains(OLD)));
    let told = |word: &str| {
        let events = events.lock().unwrap();
        events.iter().filter(|event| event.message.contains(word)).count()
    };
    until("that is told", || told("are used meanwhile") > 0);
    assert_eq!(told("are used meanwhile"), 1, "{:?}", events.lock().unwrap());
    hung.hold(NEW);
    until("the new pair is used", || {
        clock.advance(Duration::from_secs(1200));
        let _ = client.token();
        server.received().last().unwrap().body.contains(NEW)
    });
    until("that is told, too", || told("can be read again") > 0);
}

#[test]
fn a_file_that_hangs_does_not_hide_the_one_that_takes_its_place() {
    let _alone = alone();
    let server = server_that_takes_the_new_secret();
    let files = Files::new();
    let path = files.write("secret", OLD);
    let (client, clock) = of_file(&server, &path, &[]);
    let _hung = Hung::new(&path);
    assert_eq!(kind(client.token()), InvalidClient);
    std::fs::remove_file(&path).unwrap();
    files.write("secret", NEW);
    until("the new file is used", || {
        clock.advance(SECOND);
        client.get(&with_timeout(Duration::ZERO)).is_ok()
    });
}

// --- functions that hang, or take their time -----------------------------------------------------

#[test]
fn a_slow_function_takes_nothing_of_the_fetchs_time() {
    let _alone = alone();
    let server = Server::tokens(1200);
    let door = Door::default();
    let closed = door.clone();
    let more = [("timeout", "1h"), ("fetch_timeout", "5s")];
    let (client, clock, calls, events) = of_function(&server, &more, move |_, _| {
        closed.wait();
        pair(NEW)
    });
    let waiting = ask(&client, &GetOptions::default());
    until("the function is called", || calls.load(Ordering::SeqCst) == 1);
    // More than a fetch may take, and less than what makes a call doubtful.
    clock.advance(Duration::from_secs(9));
    assert_eq!(kind(client.get(&with_timeout(Duration::ZERO))), Pending);
    assert!(waiting.try_recv().is_err());
    door.open();
    assert_eq!(value(waiting.recv_timeout(SOON).unwrap()), "token-1");
    assert_eq!((calls.load(Ordering::SeqCst), server.requests()), (1, 1));
    let told = events.lock().unwrap();
    assert!(!told.iter().any(|event| event.kind == EventKind::FetchFailed), "{told:?}");
}

#[test]
fn whoever_waits_in_vain_for_a_function_is_told_so_and_the_next_has_a_new_try() {
    let _alone = alone();
    let server = Server::tokens(1200);
    let door = Door::default();
    let closed = door.clone();
    // The first call hangs for ever; a second one works.
    let (client, clock, calls, events) = of_function(&server, &[], move |before, _| {
        if before == 0 {
            closed.wait();
        }
        pair(NEW)
    });
    let waiting = ask(&client, &with_timeout(SECOND / 2));
    until("the function is called", || calls.load(Ordering::SeqCst) == 1);
    clock.advance(SECOND / 2);
    let error = waiting.recv_timeout(SOON).unwrap().unwrap_err();
    assert_eq!(error.kind(), Timeout);
    assert!(error.message().contains("the credentials function has not returned"), "{error}");
    clock.advance(SECOND / 2);
    let asker = client.clone();
    assert_eq!(value(soon("the next caller", move || asker.token())), "token-1");
    assert_eq!((calls.load(Ordering::SeqCst), server.requests()), (2, 1));
    assert_eq!(client.stats(None).unwrap().failures, 1);
    until("the given up fetch is told of", || {
        let told = events.lock().unwrap();
        told.iter().any(|event| {
            event.error == Some(NoCredentials) && event.message.contains("credentials function")
        })
    });
    door.open();
}

#[test]
fn a_call_that_hangs_is_tried_beside_while_somebody_waits_and_not_without_end() {
    let _alone = alone();
    let server = Server::tokens(1200);
    let door = Door::default();
    let closed = door.clone();
    let (client, clock, calls, _) =
        of_function(&server, &[("timeout", "24h")], move |before, _| {
            if before < 3 {
                closed.wait();
            }
            pair(NEW)
        });
    let waiting = ask(&client, &GetOptions::default());
    for expected in 1..=3 {
        until("another call", || calls.load(Ordering::SeqCst) == expected);
        clock.advance(Duration::from_secs(10));
    }
    assert_eq!(value(waiting.recv_timeout(SOON).unwrap()), "token-1");
    door.open();
}

#[test]
fn a_function_that_always_hangs_is_called_a_few_times() {
    let _alone = alone();
    let server = Server::tokens(1200);
    let door = Door::default();
    let closed = door.clone();
    let (client, clock, calls, _) = of_function(&server, &[("timeout", "24h")], move |_, _| {
        closed.wait();
        pair(NEW)
    });
    let asks = || {
        // Not turned while a fetch is on its way there: that would take its time.
        until("it waits for the function", || {
            let error = client.get(&with_timeout(Duration::ZERO)).unwrap_err();
            assert_eq!(error.kind(), Pending, "{error}");
            error.message().contains("has not returned")
        });
        clock.advance(Duration::from_secs(10));
    };
    until("the calls", || {
        asks();
        calls.load(Ordering::SeqCst) == 4
    });
    for _ in 0..20 {
        asks();
        std::thread::sleep(Duration::from_millis(2));
    }
    assert_eq!(calls.load(Ordering::SeqCst), 4);
    door.open();
    // From here on each fetch calls it once, and they return.
    until("a token", || {
        // A fetch may have begun just before the clock was turned, and failed for that.
        clock.advance(SECOND / 20);
        client.get(&with_timeout(Duration::ZERO)).is_ok()
    });
}

#[test]
fn fetches_of_all_scopes_share_a_call() {
    let _alone = alone();
    let server = Server::tokens(1200);
    let door = Door::default();
    let closed = door.clone();
    let (client, _, calls, _) = of_function(&server, &[], move |_, _| {
        closed.wait();
        pair(NEW)
    });
    let scopes: Vec<String> = (0..80).map(|scope| format!("scope-{scope}")).collect();
    let waiting: Vec<_> = scopes
        .iter()
        .map(|scope| ask(&client, &GetOptions { scope: Some(scope), ..GetOptions::default() }))
        .collect();
    until_they_wait(&client, &scopes, "the credentials function has not returned");
    let healthy = builder(&server.url()).build().unwrap();
    assert!(soon("another client", move || healthy.token()).is_ok());
    door.open();
    for outcome in waiting {
        assert!(outcome.recv_timeout(2 * SOON).unwrap().is_ok());
    }
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

#[test]
fn eight_functions_run_at_once_and_the_others_come_after_them() {
    let _alone = alone();
    let server = Server::tokens(1200);
    let door = Door::default();
    let running = Arc::new(AtomicUsize::new(0));
    let clients: Vec<_> = (0..12)
        .map(|_| {
            let (closed, inside) = (door.clone(), running.clone());
            of_function(&server, &[], move |_, _| {
                inside.fetch_add(1, Ordering::SeqCst);
                closed.wait();
                pair(NEW)
            })
            .0
        })
        .collect();
    let waiting: Vec<_> =
        clients.iter().map(|client| ask(client, &GetOptions::default())).collect();
    until("eight run", || running.load(Ordering::SeqCst) == 8);
    let healthy = builder(&server.url()).build().unwrap();
    assert!(soon("another client", move || healthy.token()).is_ok());
    assert_eq!(running.load(Ordering::SeqCst), 8);
    door.open();
    for outcome in waiting {
        assert!(outcome.recv_timeout(2 * SOON).unwrap().is_ok());
    }
}

#[test]
fn a_renewal_whose_function_hangs_leaves_the_token_to_callers() {
    let _alone = alone();
    for keep_warm in ["false", "true"] {
        let server = Server::tokens(1200);
        let door = Door::default();
        let closed = door.clone();
        // Many turns of the clock, so that no fetch misses them all before it asks the function.
        let more = [("timeout", "1h"), ("keep_warm", keep_warm), ("fetch_timeout", "100s")];
        let (client, clock, calls, events) = of_function(&server, &more, move |before, _| {
            if before > 0 {
                closed.wait();
            }
            pair(NEW)
        });
        assert_eq!(value(client.token()), "token-1");
        clock.advance(Duration::from_secs(1000));
        assert_eq!(value(client.token()), "token-1");
        until("the renewal has asked", || calls.load(Ordering::SeqCst) >= 2);
        for _ in 0..16 {
            assert_eq!(value(client.token()), "token-1");
            // Not turned while the next fetch is on its way there: that would take its time.
            std::thread::sleep(Duration::from_millis(20));
            clock.advance(Duration::from_secs(10));
        }
        door.open();
        until("the renewal", || {
            clock.advance(SECOND / 100);
            value(client.get(&with_timeout(Duration::ZERO))) == "token-2"
        });
        let told = events.lock().unwrap();
        assert!(!told.iter().any(|event| event.message.contains("name resolution")), "{told:?}");
    }
}

#[test]
fn a_rotation_and_a_close_end_the_wait_for_a_function_that_hangs() {
    let _alone = alone();
    let server = Server::tokens(1200);
    let door = Door::default();
    for rotates in [true, false] {
        let closed = door.clone();
        let (client, _, calls, _) = of_function(&server, &[], move |_, _| {
            closed.wait();
            pair(OLD)
        });
        let waiting = ask(&client, &GetOptions::default());
        until("the function is called", || calls.load(Ordering::SeqCst) == 1);
        match rotates {
            true => client.rotate(ID, NEW).unwrap(),
            false => client.close(),
        }
        let outcome = waiting.recv_timeout(SOON).unwrap();
        match rotates {
            true => assert!(outcome.is_ok(), "{outcome:?}"),
            false => assert_eq!(kind(outcome), Closed),
        }
    }
    assert!(server.received()[0].body.contains(NEW));
    door.open();
}

#[test]
fn after_wake_a_function_that_hangs_is_asked_again() {
    let _alone = alone();
    let server = Server::tokens(1200);
    let door = Door::default();
    let closed = door.clone();
    let (client, clock, calls, _) = of_function(&server, &[], move |before, _| {
        if before == 0 {
            closed.wait();
        }
        pair(NEW)
    });
    let waiting = ask(&client, &GetOptions::default());
    until("the function is called", || calls.load(Ordering::SeqCst) == 1);
    clock.advance(SECOND);
    client.wake();
    assert!(waiting.recv_timeout(SOON).unwrap().is_ok());
    door.open();
}

/// Whether a forked child gets a token, in time.
fn a_child_gets_a_token(client: &Client) -> bool {
    // SAFETY: the child calls the library, which allows it, and ends without running what belongs to
    // its parent.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let outcome = client.get(&with_timeout(SOON));
        // SAFETY: it ends the process, at once.
        unsafe { libc::_exit(if outcome.is_ok() { 7 } else { 8 }) };
    }
    let mut status = 0;
    let end = Instant::now() + 3 * SOON;
    // SAFETY: `status` is written to, and outlives the call.
    while unsafe { libc::waitpid(child, &mut status, libc::WNOHANG) } == 0 {
        if Instant::now() > end {
            // SAFETY: the child is ours, and has not been waited for.
            unsafe { libc::kill(child, libc::SIGKILL) };
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 7
}

#[test]
fn a_forked_child_asks_for_itself_what_its_parents_threads_hang_with() {
    let _alone = alone();
    let server = Server::tokens(1200);
    let door = Door::default();
    let (closed, parent) = (door.clone(), std::process::id());
    let calls = Arc::new(AtomicUsize::new(0));
    let count = calls.clone();
    let of_function = options(&server.url())
        .into_iter()
        .filter(|(key, _)| !key.starts_with("client_"))
        .fold(Client::builder(), |builder, (key, value)| builder.set(key, value))
        .on_credentials(move |_| {
            count.fetch_add(1, Ordering::SeqCst);
            if std::process::id() == parent {
                closed.wait();
            }
            pair(NEW)
        })
        .build()
        .unwrap();
    let waiting = ask(&of_function, &GetOptions::default());
    until("the function is called", || calls.load(Ordering::SeqCst) == 1);
    assert!(a_child_gets_a_token(&of_function), "beside a function that hangs");
    door.open();
    assert!(waiting.recv_timeout(SOON).unwrap().is_ok());

    let files = Files::new();
    let path = files.write("secret", OLD);
    let url = server.url();
    let of_file = options(&url)
        .into_iter()
        .map(|(key, value)| match key {
            "client_secret" => ("client_secret_file", &*path),
            _ => (key, value),
        })
        .fold(Client::builder(), |builder, (key, value)| builder.set(key, value))
        .build()
        .unwrap();
    let _hung = Hung::new(&path);
    let _waiting = ask(&of_file, &GetOptions::default());
    until_they_wait(&of_file, &["a b".to_owned()], &path);
    std::fs::remove_file(&path).unwrap();
    files.write("secret", NEW);
    assert!(a_child_gets_a_token(&of_file), "beside a file that hangs");
}
