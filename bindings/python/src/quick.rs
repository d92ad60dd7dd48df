//! Two functions as plain C functions: a call costs a third less than through pyo3, which matters to a
//! coroutine that only returns the token. They are functions, not methods, because the interpreter calls
//! a method of a base class in a slower way.
//!
//! They take a client and the arguments of `Client.get`, all by position, and return the object of the
//! current token, or `None` where the ordinary methods must decide: for a `timeout` or `min_ttl`, and for
//! a scope that is not recognized.

use std::cell::UnsafeCell;
use std::ffi::CStr;
use std::panic::{self, AssertUnwindSafe};
use std::ptr;

use pyo3::ffi;
use pyo3::prelude::*;

use crate::at_hand::{AtHand, Objects};
use crate::client::Client;

/// A definition that the interpreter refers to as long as the function exists.
struct Definition(UnsafeCell<ffi::PyMethodDef>);

// SAFETY: neither this crate nor the interpreter writes to it.
unsafe impl Sync for Definition {}

impl Definition {
    const fn new(
        name: &'static CStr,
        signature: &'static CStr,
        function: ffi::PyCFunctionFast,
    ) -> Self {
        Self(UnsafeCell::new(ffi::PyMethodDef {
            ml_name: name.as_ptr(),
            ml_meth: ffi::PyMethodDefPointer { PyCFunctionFast: function },
            ml_flags: ffi::METH_FASTCALL,
            ml_doc: signature.as_ptr(),
        }))
    }
}

static TEXT: Definition = Definition::new(
    c"recognized_text",
    c"recognized_text(client, scope, timeout, min_ttl, /)\n--\n\n",
    text,
);
static TOKEN: Definition = Definition::new(
    c"recognized_token",
    c"recognized_token(client, scope, timeout, min_ttl, /)\n--\n\n",
    token,
);

/// Adds the functions to the module.
pub(crate) fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let module_name = module.name()?;
    for definition in [&TEXT, &TOKEN] {
        let (definition, null) = (definition.0.get(), ptr::null_mut());
        // SAFETY: this thread is attached, and the definition is valid. The function is a new reference,
        // or null with an exception set.
        let (function, name) = unsafe {
            let function = ffi::PyCFunction_NewEx(definition, null, module_name.as_ptr());
            let function = Bound::from_owned_ptr_or_err(module.py(), function)?;
            (function, CStr::from_ptr((*definition).ml_name))
        };
        module.add(name, function)?;
    }
    Ok(())
}

unsafe extern "C" fn text(
    _module: *mut ffi::PyObject,
    arguments: *mut *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
) -> *mut ffi::PyObject {
    // SAFETY: the interpreter calls this as `recognized` demands.
    unsafe { recognized(arguments, count, Objects::text) }
}

unsafe extern "C" fn token(
    _module: *mut ffi::PyObject,
    arguments: *mut *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
) -> *mut ffi::PyObject {
    // SAFETY: the interpreter calls this as `recognized` demands.
    unsafe { recognized(arguments, count, Objects::token) }
}

/// # Safety
/// The caller is the interpreter: this thread is attached, and there are `count` arguments.
#[inline(always)]
unsafe fn recognized<T>(
    arguments: *mut *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    which: impl FnOnce(&Objects) -> Option<&Py<T>>,
) -> *mut ffi::PyObject {
    // SAFETY: the caller guarantees it.
    let py = unsafe { Python::assume_attached() };
    // Checked before they are read: without arguments the pointer may be null.
    if count != 4 {
        return py.None().into_ptr();
    }
    // SAFETY: the caller guarantees that there are four.
    let arguments = unsafe { &*arguments.cast::<[*mut ffi::PyObject; 4]>() };
    // A panic ends in the ordinary method, which turns it into an exception.
    let object = panic::catch_unwind(AssertUnwindSafe(|| {
        let [client, scope, timeout, min_ttl] = *arguments;
        // SAFETY: the arguments are objects that outlive the call.
        let given = |argument| unsafe { Borrowed::from_ptr(py, argument) };
        let (client, scope) = (given(client), given(scope));
        if !given(timeout).is_none() || !given(min_ttl).is_none() {
            return None;
        }
        let client = client.cast::<Client>().ok()?;
        let scope = (!scope.is_none()).then_some(&*scope);
        AtHand::recognized(&client, client.get().made()?, scope, which)
    }));
    match object {
        Ok(Some(object)) => object.into_ptr(),
        _ => py.None().into_ptr(),
    }
}
