//! The native half of the Python package `tu_token`: converts, calls the core, converts back.
//!
//! - `client`, `token` the two classes
//! - `at_hand` the `str` objects that are handed out again and again
//! - `wait` a thread's wait, which Ctrl-C ends
//! - `tasks` an asyncio task's wait, which takes no thread
//! - `functions` credentials and event functions of the program
//! - `attached` the interpreter and its objects in the hands of the library's threads; forks
//! - `arguments`, `error` what goes in, and what comes out when it fails
//!
//! What needs no native code (options, exceptions, HTTP adapters) is in `tu_token/*.py`.

mod arguments;
mod at_hand;
mod attached;
mod client;
mod error;
mod functions;
mod tasks;
mod token;
mod wait;

/// See `_native.pyi`.
#[pyo3::pymodule(gil_used = false)]
mod _native {
    use pyo3::prelude::*;

    #[pymodule_export]
    use crate::client::Client;
    #[pymodule_export]
    use crate::tasks::{Bridge, Wait};
    #[pymodule_export]
    use crate::token::Token;

    #[pymodule_export]
    #[allow(non_upper_case_globals)]
    const __version__: &str = env!("CARGO_PKG_VERSION");

    /// The key of every option.
    #[pyfunction]
    fn option_keys() -> Vec<&'static str> {
        tu_token::OPTIONS.iter().map(|option| option.key).collect()
    }

    /// For ``atexit``.
    #[pyfunction]
    fn at_exit(py: Python<'_>) {
        crate::attached::at_exit(py);
    }

    /// For ``os.register_at_fork``, as are the next two.
    #[pyfunction]
    fn before_fork(py: Python<'_>) {
        crate::attached::before_fork(py);
    }

    #[pyfunction]
    fn after_fork_in_parent() {
        crate::attached::after_fork_in_parent();
    }

    #[pyfunction]
    fn after_fork_in_child() {
        crate::attached::after_fork_in_child();
    }

    /// Turns the library's clock.
    #[cfg(feature = "test-clock")]
    #[pyfunction]
    fn _advance_test_clock_ms(milliseconds: u64) {
        tu_token::advance_test_clock(std::time::Duration::from_millis(milliseconds));
    }
}
