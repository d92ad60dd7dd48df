//! Credentials that are others at each call, and files that are mended.

#![cfg(unix)]

use std::time::{Duration, Instant};

use crate::alone;
use crate::support::credentials::*;
use crate::support::tls::Files;
use crate::support::{Server, after, answer, oauth_error, together, token, until, with_timeout};
use tu_token::ErrorKind::{
    Budget, Credentials as NoCredentials, InvalidClient, InvalidScope, Pending,
};
use tu_token::{Credentials, Error, ErrorKind, EventKind};

// --- another pair at each call -------------------------------------------------------------------

/// A function that gives another secret at each call.
fn fresh(before: usize, _refused: bool) -> Option<Credentials> {
    pair(&format!("secret-of-call-{before}"))
}

#[test]
fn callers_of_four_scopes_together_make_few_requests_and_hear_the_refusal() {
    let _alone = alone();
    let server =
        Server::always(after(Duration::from_millis(50), oauth_error(401, "invalid_client")));
    let (client, ..) = of_function(&server, &[], fresh);
    let outcomes = together(4, |thread| {
        let scope = format!("s{thread}");
        let end = Instant::now() + SECOND;
        loop {
            let outcome = of_scope(&client, &scope);
            assert_ne!(outcome.as_ref().err().map(Error::kind), Some(Budget));
            if Instant::now() > end {
                return outcome;
            }
        }
    });
    assert!(outcomes.into_iter().all(|outcome| kind(outcome) == InvalidClient));
    // Those that were out when the first was refused, and the one more try for all of them.
    assert!(server.requests() <= 5, "{} requests", server.requests());
}

#[test]
fn a_function_that_knows_the_new_pair_costs_no_scope_an_error() {
    let _alone = alone();
    let server = Server::new(|before, request| {
        let reply = match request.body.contains(NEW) {
            true => token(&format!("token-{before}"), 1200),
            false => oauth_error(401, "invalid_client"),
        };
        after(Duration::from_millis(50), reply)
    });
    let (client, ..) =
        of_function(&server, &[], |_, refused| pair(if refused { NEW } else { OLD }));
    let outcomes = together(4, |thread| of_scope(&client, &format!("s{thread}")));
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    assert!(server.requests() <= 8, "{} requests", server.requests());
}

// --- files that are mended ------------------------------------------------------------------------

#[test]
fn a_mended_file_is_used_within_a_second_whatever_the_callers_were_told() {
    let _alone = alone();
    type Reply = fn() -> crate::support::Reply;
    let rows: [(&str, ErrorKind, Reply); 4] = [
        ("403", ErrorKind::BadResponse, || answer(403, "", "")),
        ("invalid_client", InvalidClient, || oauth_error(401, "invalid_client")),
        ("invalid_scope", InvalidScope, || oauth_error(400, "invalid_scope")),
        ("500", ErrorKind::Server, || answer(500, "", "")),
    ];
    for (what, expected, reply) in rows {
        let server = Server::new(move |before, request| match request.body.contains(NEW) {
            true => token(&format!("token-{before}"), 1200),
            false => reply(),
        });
        let files = Files::new();
        let path = files.write("secret", OLD);
        let (client, clock) = of_file(&server, &path, &[]);
        // The pauses between the attempts of a first fetch are real ones.
        let asker = client.clone();
        let ticking = clock.clone();
        let first = std::thread::spawn(move || kind(asker.token()));
        until("the first fetch ends", || {
            ticking.advance(Duration::from_millis(20));
            first.is_finished()
        });
        assert_eq!(first.join().unwrap(), expected, "{what}");
        // Let the pauses grow.
        for _ in 0..6 {
            clock.advance(Duration::from_secs(45));
            assert_eq!(kind(client.token()), expected, "{what}");
        }
        files.write("secret", NEW);
        let mut waited = Duration::ZERO;
        while let Err(error) = client.get(&with_timeout(Duration::ZERO)) {
            clock.advance(SECOND / 4);
            waited += SECOND / 4;
            // What that asks for, and what comes of it: two seconds in all, on a busy machine.
            let end = Instant::now() + SECOND / 5;
            while client.get(&with_timeout(Duration::ZERO)).is_err() && Instant::now() < end {
                std::thread::sleep(Duration::from_millis(2));
            }
            assert!(waited <= 3 * SECOND, "{what}: {error}");
        }
    }
}

/// Does something with the client's file, and has a token renewed three times: with which secret, and
/// how often it was told that the file cannot be read, or can be again.
fn renewed(meddle: fn(&str), restore: &str) -> (Vec<bool>, usize, usize) {
    let server = Server::tokens(1200);
    let files = Files::new();
    let path = &files.write("secret", OLD);
    let (client, clock, events) = of_file_with_events(&server, path, &[]);
    let renew = || {
        clock.advance(Duration::from_secs(1200));
        let asker = client.clone();
        soon("a renewal", move || asker.token()).unwrap();
    };
    renew();
    meddle(path);
    (0..3).for_each(|_| renew());
    let _ = std::fs::remove_dir(path).or_else(|_| std::fs::remove_file(path));
    files.write("secret", restore);
    (0..2).for_each(|_| renew());
    client.rotate(crate::support::ID, NEW).unwrap();
    let told = |is_such: &dyn Fn(&tu_token::Event) -> bool| {
        events.lock().unwrap().iter().filter(|event| is_such(event)).count()
    };
    until("the last event", || told(&|event| event.kind == EventKind::Rotated) == 1);
    let lost = told(&|event| {
        event.error == Some(NoCredentials)
            && event.kind == EventKind::Warning
            && event.message.contains(&format!("client_secret_file {path}"))
    });
    let back = told(&|event| event.message.contains("can be read again"));
    let with_new = server.received().iter().map(|sent| sent.body.contains(NEW)).collect();
    (with_new, lost, back)
}

#[test]
fn while_a_file_cannot_be_read_the_last_good_pair_serves_and_that_is_told_once() {
    let _alone = alone();
    type Meddle = fn(&str);
    let rows: [(&str, Meddle); 6] = [
        ("gone", |path| std::fs::remove_file(path).unwrap()),
        ("empty", |path| std::fs::write(path, "").unwrap()),
        ("malformed", |path| std::fs::write(path, "two\nlines\n").unwrap()),
        ("a pipe", |path| drop(make_pipe(path))),
        ("a directory", |path| {
            std::fs::remove_file(path).unwrap();
            std::fs::create_dir(path).unwrap();
        }),
        ("a link to a device", |path| {
            std::fs::remove_file(path).unwrap();
            std::os::unix::fs::symlink("/dev/zero", path).unwrap();
        }),
    ];
    for (what, meddle) in rows {
        assert_eq!(renewed(meddle, OLD), (vec![false; 6], 1, 1), "{what}");
        let other = vec![false, false, false, false, true, true];
        assert_eq!(renewed(meddle, NEW), (other, 1, 1), "{what}");
    }
}

#[test]
fn a_pipe_is_read_when_the_client_is_made_and_never_again() {
    let _alone = alone();
    let files = Files::new();
    for id_is_a_file in [false, true] {
        let server = Server::tokens(1200);
        let path = files.write("secret", "");
        let pipe = make_pipe(&path);
        let writer = {
            let path = path.clone();
            std::thread::spawn(move || write_once(&path, &format!("{OLD}\n")))
        };
        let id = files.write("id", "first-id");
        let of_id = [("client_id_file", &*id)];
        let more = if id_is_a_file { &of_id[..] } else { &[] };
        let (client, clock, events) = of_file_with_events(&server, &path, more);
        writer.join().unwrap();
        for round in 0..3 {
            // What becomes of the pipe does not matter: gone, there again, something else.
            match round {
                0 => {}
                1 => drop(make_pipe(&path)),
                _ => {
                    std::fs::remove_file(&path).unwrap();
                    files.write("secret", NEW);
                }
            }
            files.write("id", &format!("id-{round}"));
            let asker = client.clone();
            soon("a call", move || asker.token()).unwrap();
            clock.advance(Duration::from_secs(1200));
        }
        let received = server.received();
        assert!(received.iter().all(|request| request.body.contains(OLD)));
        let has_id = |request: &crate::support::Request| request.body.contains("client_id=id-2");
        assert_eq!(has_id(&received[2]), id_is_a_file);
        client.rotate(crate::support::ID, NEW).unwrap();
        let told =
            |is_such: fn(&tu_token::Event) -> bool| events.lock().unwrap().iter().any(is_such);
        until("the last event", || told(|event| event.kind == EventKind::Rotated));
        assert!(!told(|event| event.error.is_some()), "{:?}", events.lock().unwrap());
        drop(pipe);
    }
}

#[test]
fn a_refused_pair_of_a_pipe_is_remembered_like_a_given_one() {
    let _alone = alone();
    let server = server_that_takes_the_new_secret();
    let files = Files::new();
    let path = files.write("secret", "");
    let _pipe = make_pipe(&path);
    let writer = {
        let path = path.clone();
        std::thread::spawn(move || write_once(&path, OLD))
    };
    let (client, clock) = of_file(&server, &path, &[]);
    writer.join().unwrap();
    for _ in 0..5 {
        assert_eq!(
            kind(soon("a call", {
                let client = client.clone();
                move || client.token()
            })),
            InvalidClient
        );
        clock.advance(SECOND);
    }
    assert_eq!(server.requests(), 1);
    client.rotate(crate::support::ID, NEW).unwrap();
    assert!(client.token().is_ok());
}

#[test]
fn a_child_that_may_not_read_the_file_any_more_goes_on_with_the_pair_that_was_read() {
    let _alone = alone();
    // SAFETY: it takes nothing and cannot fail.
    if unsafe { libc::getuid() } != 0 {
        return;
    }
    let server = Server::tokens(1200);
    let files = Files::new();
    let path = files.write("secret", OLD);
    let own = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&path, own).unwrap();
    let url = server.url();
    let client = crate::support::options(&url)
        .into_iter()
        .map(
            |(key, value)| {
                if key == "client_secret" { ("client_secret_file", &*path) } else { (key, value) }
            },
        )
        .fold(tu_token::Client::builder(), |builder, (key, value)| builder.set(key, value))
        .build()
        .unwrap();
    // SAFETY: the child calls the library, which allows it, and ends without running what belongs to
    // its parent.
    let child = unsafe { libc::fork() };
    if child == 0 {
        // SAFETY: as daemons do, it becomes another user.
        let dropped = unsafe { libc::setgid(65534) == 0 && libc::setuid(65534) == 0 };
        let is_shut = std::fs::read(&path).is_err();
        let outcome = client.get(&with_timeout(Duration::from_secs(20)));
        let is_right = dropped && is_shut && outcome.is_ok();
        // SAFETY: it ends the process, at once.
        unsafe { libc::_exit(if is_right { 7 } else { 8 }) };
    }
    let mut status = 0;
    // SAFETY: `status` is written to, and outlives the call.
    unsafe { libc::waitpid(child, &mut status, 0) };
    assert!(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 7, "{status:x}");
    assert!(server.received()[0].body.contains(OLD));
}

#[test]
fn a_file_that_is_another_at_each_read_makes_few_requests() {
    let _alone = alone();
    if !std::path::Path::new("/proc/sys/kernel/random/uuid").exists() {
        return;
    }
    let server = Server::always(oauth_error(401, "invalid_client"));
    let (client, clock) = of_file(&server, "/proc/sys/kernel/random/uuid", &[]);
    for _ in 0..50 {
        let outcome = kind(client.get(&with_timeout(Duration::ZERO)));
        assert!([InvalidClient, Pending].contains(&outcome), "{outcome:?}");
        clock.advance(SECOND / 10);
        std::thread::sleep(Duration::from_millis(2));
    }
    // One fetch a second at most, of two requests each and a few more.
    assert!(server.requests() <= 6 * 6, "{} requests", server.requests());
}
