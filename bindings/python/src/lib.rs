//! The native half of the Python package `tu_token`: converts arguments, calls the core, converts
//! results.
//!
//! - `client`, `token`: the two classes
//! - `at_hand`: the `str` objects of the current tokens
//! - `quick`: the two calls that coroutines make at a hit
//! - `wait`: a thread's wait, which Ctrl-C ends
//! - `tasks`, `bell`: an asyncio task's wait, which takes no thread
//! - `functions`: the program's credentials and event functions
//! - `attached`, `door`: the interpreter and its objects on the library's threads; forks and
//!   interpreter shutdown
//! - `interpreter`: which interpreter may import this module
//! - `arguments`, `error`: converting arguments and errors
//!
//! Everything that needs no native code (options, exceptions, HTTP adapters) is in `tu_token/*.py`.

mod arguments;
mod at_hand;
mod attached;
mod bell;
mod client;
mod door;
mod error;
mod functions;
mod interpreter;
mod quick;
mod tasks;
mod token;
mod wait;

use pyo3::prelude::*;

/// See `_native.pyi`.
#[pymodule(gil_used = false)]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    // Before anything stores objects of this interpreter.
    interpreter::claim(module.py())?;
    module.add_class::<client::Client>()?;
    quick::add_to(module)?;
    module.add_class::<token::Token>()?;
    module.add_class::<tasks::Bridge>()?;
    module.add_class::<tasks::Wait>()?;
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_function(wrap_pyfunction!(option_keys, module)?)?;
    module.add_function(wrap_pyfunction!(at_exit, module)?)?;
    module.add_function(wrap_pyfunction!(before_fork, module)?)?;
    module.add_function(wrap_pyfunction!(after_fork_in_parent, module)?)?;
    #[cfg(feature = "test-clock")]
    module.add_function(wrap_pyfunction!(_advance_test_clock_ms, module)?)?;
    Ok(())
}

/// The keys of all options.
#[pyfunction]
fn option_keys() -> Vec<&'static str> {
    tu_token::OPTIONS.iter().map(|option| option.key).collect()
}

/// For ``atexit``.
#[pyfunction]
fn at_exit(py: Python<'_>) {
    door::at_exit(py);
}

/// For ``os.register_at_fork``, like the next function.
#[pyfunction]
fn before_fork(py: Python<'_>) {
    door::before_fork(py);
}

#[pyfunction]
fn after_fork_in_parent() {
    door::after_fork_in_parent();
}

/// Advances the library's clock.
#[cfg(feature = "test-clock")]
#[pyfunction]
fn _advance_test_clock_ms(milliseconds: u64) {
    tu_token::advance_test_clock(std::time::Duration::from_millis(milliseconds));
}
