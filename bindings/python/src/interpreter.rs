//! Only the main interpreter of a process can import this module, and only before it is finalized.
//!
//! The module's global state (classes, functions, the entry point of the library's threads) belongs to
//! one interpreter. A subinterpreter, or an interpreter started after the first has ended, would mix
//! its objects with those of the first.

use std::ffi::c_int;
use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::exceptions::PyImportError;
use pyo3::ffi;
use pyo3::prelude::*;

use crate::{attached, door};

/// The interpreter that imported this module has ended.
static HAS_ENDED: AtomicBool = AtomicBool::new(false);

/// Allows this interpreter to import the module, or returns an error that explains why it cannot.
pub(crate) fn claim(py: Python<'_>) -> PyResult<()> {
    // SAFETY: this thread is attached to an interpreter.
    let number = unsafe { ffi::PyInterpreterState_GetID(ffi::PyInterpreterState_Get()) };
    if number != 0 {
        return Err(PyImportError::new_err(format!(
            "tu_token works only in the main interpreter of a process, and this is a \
             subinterpreter (number {number}). Under mod_wsgi, run the application in the main one: \
             WSGIApplicationGroup %{{GLOBAL}}"
        )));
    }
    if HAS_ENDED.load(Ordering::SeqCst) {
        return Err(PyImportError::new_err(
            "tu_token cannot be imported again: the interpreter that had imported it was finalized \
             (Py_FinalizeEx). Keep one interpreter for the life of the process",
        ));
    }
    attached::enter_this(py);
    watch_end();
    // Makes the core register its fork handlers, if it has not yet.
    tu_token::Config::new().on_event(|_: &tu_token::Event| ());
    door::watch_forks();
    Ok(())
}

fn watch_end() {
    extern "C" fn ended() {
        HAS_ENDED.store(true, Ordering::SeqCst);
    }
    static WATCHED: AtomicBool = AtomicBool::new(false);
    if !WATCHED.swap(true, Ordering::SeqCst) {
        // SAFETY: the function stays mapped, because Python does not unload modules. If it cannot be
        // registered, a later interpreter merely lacks the explaining error.
        let _: c_int = unsafe { ffi::Py_AtExit(Some(ended)) };
    }
}
