//! Python objects in the hands of threads that are not the interpreter's.

use std::mem;

use pyo3::Python;

/// Something made of Python objects that any thread may let go of: that happens attached to the
/// interpreter. When there is none any more, it is not let go of at all.
pub(crate) struct Attached<T>(Option<T>);

impl<T> Attached<T> {
    pub(crate) fn new(object: T) -> Self {
        Self(Some(object))
    }

    pub(crate) fn as_ref(&self) -> Option<&T> {
        self.0.as_ref()
    }

    pub(crate) fn take(&mut self) -> Option<T> {
        self.0.take()
    }
}

impl<T> Drop for Attached<T> {
    fn drop(&mut self) {
        let mut object = self.0.take();
        if object.is_some() && Python::try_attach(|_| drop(object.take())).is_none() {
            mem::forget(object);
        }
    }
}
