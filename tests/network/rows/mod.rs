//! The table: each fault with what must come of it.

mod answers;
mod bombs;
mod connections;
mod echoes;
mod phases;
mod proxies;
mod retry_after;
mod tls;

use std::time::Duration;

use crate::row::Group;
use crate::scene::Scene;
use crate::support::{Reply, Step};

pub fn all(scene: &'static Scene) -> Vec<Group> {
    vec![
        connections::group(),
        tls::handshake(scene),
        tls::certificates(scene),
        phases::group(),
        answers::wrong(),
        answers::odd(scene),
        bombs::group(),
        retry_after::group(),
        proxies::http(),
        proxies::socks5(),
        echoes::group(),
    ]
}

fn bytes(text: &str) -> Vec<u8> {
    text.as_bytes().to_vec()
}

fn send(text: &str) -> Step {
    Step::Send(bytes(text))
}

/// Sends this and closes.
fn raw(text: &str) -> Reply {
    vec![send(text)]
}

/// Time for what was sent to be read before a reset destroys it.
fn pause() -> Step {
    Step::Wait(Duration::from_millis(30))
}

const JSON: &str = r#"{"access_token":"t","expires_in":1200,"token_type":"Bearer"}"#;
