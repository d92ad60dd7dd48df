//! A connection around another one that changes a part of what it does.

use std::fmt::Debug;

use ureq::Error;
use ureq::unversioned::transport::{Buffers, NextTimeout, Transport};

/// What a layer changes. Everything else is left to the connection inside.
pub(super) trait Layer: Debug + Send + Sync + 'static {
    /// Waits for input, as [`Transport::await_input`].
    fn await_input(
        &mut self,
        inner: &mut dyn Transport,
        timeout: NextTimeout,
    ) -> Result<bool, Error> {
        inner.await_input(timeout)
    }

    fn is_tls(&self, inner: &dyn Transport) -> bool {
        inner.is_tls()
    }
}

/// A connection with a layer around it.
#[derive(Debug)]
pub(super) struct Layered<L> {
    inner: Box<dyn Transport>,
    layer: L,
}

impl<L: Layer> Layered<L> {
    pub(super) fn new(inner: Box<dyn Transport>, layer: L) -> Self {
        Self { inner, layer }
    }
}

impl<L: Layer> Transport for Layered<L> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.inner.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        self.inner.transmit_output(amount, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.layer.await_input(&mut *self.inner, timeout)
    }

    fn is_open(&mut self) -> bool {
        self.inner.is_open()
    }

    fn is_tls(&self) -> bool {
        self.layer.is_tls(&*self.inner)
    }
}
