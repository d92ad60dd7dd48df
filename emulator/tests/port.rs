//! The port of an emulator that has been dropped. Alone in its file: a program that another test starts would inherit
//! what listens there, and hold it for a moment.

mod common;

use std::io::Read as _;
use std::net::TcpStream;

use common::token;
use tu_token_emulator::Emulator;

#[test]
fn dropping_it_frees_the_port_and_ends_connections() {
    let is_free_again = || {
        let emulator = Emulator::start().expect("an emulator");
        let address = emulator.address();
        let mut open = TcpStream::connect(address).expect("connected");
        token(&emulator, "asset.view");
        drop(emulator);
        // The end of the stream or a reset, but not silence.
        let mut byte = [0];
        assert!(!matches!(open.read(&mut byte), Ok(1)));
        TcpStream::connect(address).is_err()
            && Emulator::builder()
                .port(address.port())
                .start()
                .is_ok_and(|again| again.address() == address)
    };
    // Another program may get the port as soon as it is free, but not three times.
    assert!((0..3).any(|_| is_free_again()));
}
