//! Replacing credentials during a fetch, and a token under its readers.

use std::sync::Arc;
use std::time::Duration;

use shuttle::thread;

use super::stage::{self, Answer, SECOND, at, caller, got, ok};
use super::{explore, time};
use crate::cache::current::Current;
use crate::clock::{BootTime, Clock};
use crate::life::Life;
use crate::process::Mailbox;
use crate::{ErrorKind, Token};

fn refuses_old(form: &str) -> Answer {
    match form.contains("client_secret=old") {
        true => stage::failure(401, "invalid_client"),
        false => stage::token("new"),
    }
}

#[test]
fn no_caller_sees_the_refusal_of_replaced_credentials() {
    explore(|| {
        let rotated = Arc::new(Mailbox::default());
        let waits_for = rotated.clone();
        let (client, endpoint) = stage::client(move |number, form| {
            if number == 1 {
                // The refusal is on its way while the credentials are rotated.
                waits_for.take(&Clock::System, BootTime::from_nanos(u64::MAX));
            }
            refuses_old(form)
        });
        let callers = [caller(&client), caller(&client)];
        time::sleep_until(SECOND);
        client.rotate("id", "new").unwrap();
        rotated.put(());
        for caller in callers {
            assert_eq!(caller.join().unwrap(), ok("new"));
        }
        assert_eq!(endpoint.requests(), 2);
        assert_eq!(time::elapsed(), SECOND, "a wake-up was lost");
        stage::end(client, &endpoint);
    });
}

#[test]
fn a_rotation_while_the_refusal_arrives_ends_it() {
    explore(|| {
        let (client, endpoint) = stage::client(|_, form| refuses_old(form).after(SECOND));
        let callers = [caller(&client), caller(&client)];
        time::sleep_until(SECOND);
        client.rotate("id", "new").unwrap();
        // From here on the old credentials and their refusal do not matter.
        assert_eq!(got(client.token()), ok("new"));
        for caller in callers {
            let outcome = caller.join().unwrap();
            let expected = [ok("new"), Err(ErrorKind::InvalidClient)];
            assert!(expected.contains(&outcome), "{outcome:?}");
        }
        assert_eq!(endpoint.requests(), 2);
        assert!(time::elapsed() <= 2 * SECOND, "a wake-up was lost");
        stage::end(client, &endpoint);
    });
}

#[test]
fn an_invalidated_token_is_gone_and_its_successor_is_not() {
    // Before the renewal starts, while it is in progress, and as it ends.
    for delay in [Duration::ZERO, SECOND / 2, SECOND] {
        explore(move || {
            let (client, endpoint) = stage::client(|number, _| match number {
                1 => stage::token("one"),
                _ => stage::token("two").after(SECOND),
            });
            let one = client.token().unwrap();
            let soft = 1000 * SECOND;
            let reader = client.clone();
            let renews = at(soft, move || {
                let outcome = got(reader.token());
                assert!(outcome == ok("one") || outcome == ok("two"), "{outcome:?}");
            });
            let other = client.clone();
            let reads = at(soft + SECOND, move || {
                let outcome = got(other.token());
                assert!(outcome == ok("one") || outcome == ok("two"), "{outcome:?}");
            });
            time::sleep_until(soft + delay);
            client.invalidate(&one);
            assert_eq!(got(client.token()), ok("two"));
            renews.join().unwrap();
            reads.join().unwrap();
            // Had the successor been dropped with it, another would have been requested.
            assert_eq!(got(client.token()), ok("two"));
            assert_eq!(endpoint.requests(), 2);
            assert!(time::elapsed() <= soft + delay + SECOND, "a wake-up was lost");
            stage::end(client, &endpoint);
        });
    }
}

#[test]
fn readers_of_the_current_token_see_all_of_it_or_nothing() {
    explore(|| {
        let life = Life {
            requested_at: time::now(),
            lifetime: 1200 * SECOND,
            fresh_until: time::now().after(600 * SECOND),
        };
        // Of two sizes: the third is in another block.
        let tokens = ["a".repeat(8), "b".repeat(8), "c".repeat(90)]
            .map(|value| Token::new(&value, "a", 1, &life, 0).words().to_vec());
        let (current, tokens) = (Arc::new(Current::default()), Arc::new(tokens));
        let readers = [(); 2].map(|()| {
            let (current, tokens) = (current.clone(), tokens.clone());
            thread::spawn(move || {
                for _ in 0..3 {
                    let Some(view) = current.look_at(time::now(), Duration::ZERO) else {
                        continue;
                    };
                    let Some(words) = view.to_words() else { continue };
                    if view.holds() {
                        assert!(tokens.iter().any(|token| token[..] == words[..token.len()]));
                    }
                }
            })
        });
        for words in tokens.iter() {
            // SAFETY: the words of a token.
            let token = unsafe { Token::from_words(words.clone().into_boxed_slice()) };
            current.publish(&token, life.fresh_until);
        }
        current.clear();
        assert!(current.look_at(time::now(), Duration::ZERO).is_none());
        for reader in readers {
            reader.join().unwrap();
        }
    });
}
