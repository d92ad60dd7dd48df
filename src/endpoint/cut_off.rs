//! The end of a connection in the middle of a line.
//!
//! ureq takes it for a malformed body, as it does a line that does not fit into the buffer. It is a connection that was
//! cut off.

use std::io::ErrorKind;

use ureq::Error;
use ureq::unversioned::transport::{NextTimeout, Transport};

use super::layer::Layer;

/// Makes the end of a connection an error while ureq waits for the rest of a line.
#[derive(Debug)]
pub(super) struct CutOff;

impl Layer for CutOff {
    fn await_input(
        &mut self,
        inner: &mut dyn Transport,
        timeout: NextTimeout,
    ) -> Result<bool, Error> {
        let has_arrived = inner.await_input(timeout)?;
        let buffers = inner.buffers();
        let waits_for_more = !buffers.input().is_empty() && !buffers.input_append_buf().is_empty();
        match !has_arrived && waits_for_more {
            true => Err(Error::Io(ErrorKind::UnexpectedEof.into())),
            false => Ok(has_arrived),
        }
    }
}

#[cfg(test)]
mod tests {
    use ureq::unversioned::transport::{Buffers, LazyBuffers};

    use super::*;
    use crate::endpoint::layer::Layered;

    /// A connection that ends after this text.
    #[derive(Debug)]
    struct Ends(LazyBuffers, &'static str);

    impl Transport for Ends {
        fn buffers(&mut self) -> &mut dyn Buffers {
            &mut self.0
        }

        fn transmit_output(&mut self, _: usize, _: NextTimeout) -> Result<(), Error> {
            Ok(())
        }

        fn await_input(&mut self, _: NextTimeout) -> Result<bool, Error> {
            let text = std::mem::take(&mut self.1).as_bytes();
            self.0.input_append_buf()[..text.len()].copy_from_slice(text);
            self.0.input_appended(text.len());
            Ok(!text.is_empty())
        }

        fn is_open(&mut self) -> bool {
            true
        }
    }

    #[test]
    fn only_an_end_in_the_middle_of_a_line_is_an_error() {
        let text = "3c;extension";
        let outcome = |room: usize, consumed: usize| {
            let ends = Ends(LazyBuffers::new(room, 1), text);
            let mut connection = Layered::new(Box::new(ends), CutOff);
            assert!(connection.await_input(NextTimeout::default()).unwrap());
            connection.buffers().input_consume(consumed);
            connection.await_input(NextTimeout::default())
        };
        assert!(matches!(outcome(1024, 4), Err(Error::Io(_))));
        // Everything has been read, or there is no room for more.
        assert!(!outcome(1024, text.len()).unwrap());
        assert!(!outcome(text.len(), 0).unwrap());
    }
}
