//! A static Rust library that panics and catches the panic. Compiled more than once, under the name in
//! the environment variable NAME, to be linked with tu_token into one program.

use std::panic::catch_unwind;

#[unsafe(export_name = concat!(env!("NAME"), "_panics"))]
pub extern "C" fn panics(divisor: i32) -> i32 {
    catch_unwind(|| {
        let shown = std::thread::spawn(move || format!("{}", 100 / divisor)).join();
        shown.expect("no thread that divides by zero").parse().expect("a number")
    })
    .unwrap_or(-1)
}
