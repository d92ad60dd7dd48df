//! One interpreter of the process has this module: the first, and of that its first life.
//!
//! What the module keeps for all its clients (classes, functions, the way in for the library's
//! threads) belongs to one interpreter. A second one that got hold of it would mix its objects with
//! those of the first, and so would one that is begun after the first has ended.

use std::ffi::c_int;
use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::exceptions::PyImportError;
use pyo3::ffi;
use pyo3::prelude::*;

use crate::{attached, door};

/// The interpreter that had this module has ended.
static HAS_ENDED: AtomicBool = AtomicBool::new(false);

/// Lets this interpreter have the module, or says why it cannot.
pub(crate) fn claim(py: Python<'_>) -> PyResult<()> {
    // SAFETY: this thread is attached to an interpreter.
    let number = unsafe { ffi::PyInterpreterState_GetID(ffi::PyInterpreterState_Get()) };
    if number != 0 {
        return Err(PyImportError::new_err(format!(
            "tu_token works in the first interpreter of a process alone, and this is a \
             subinterpreter (number {number}). Under mod_wsgi run the application in the first one: \
             WSGIApplicationGroup %{{GLOBAL}}"
        )));
    }
    if HAS_ENDED.load(Ordering::SeqCst) {
        return Err(PyImportError::new_err(
            "tu_token cannot be imported again: the interpreter that had it was ended \
             (Py_FinalizeEx). Import it in one interpreter of a process, and keep that",
        ));
    }
    attached::enter_this(py);
    watch_end();
    // Something that has the core watch forks, if nothing has yet.
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
        // SAFETY: the function stays mapped, since Python unloads no module. If there is no place
        // for it, whoever begins an interpreter again is not told why that cannot work.
        let _: c_int = unsafe { ffi::Py_AtExit(Some(ended)) };
    }
}
