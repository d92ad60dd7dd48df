//! The end of a connection in the middle of a line.
//!
//! ureq takes it for a malformed body, as it does a line that does not fit into the buffer. It is a connection that was
//! cut off.

use std::io::ErrorKind;

use ureq::Error;
use ureq::unversioned::transport::{Buffers, NextTimeout, Transport};

/// A connection whose end is an error while ureq waits for the rest of a line.
#[derive(Debug)]
pub(super) struct CutOff(pub(super) Box<dyn Transport>);

impl Transport for CutOff {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.0.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        self.0.transmit_output(amount, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        let has_arrived = self.0.await_input(timeout)?;
        let buffers = self.0.buffers();
        let waits_for_more = !buffers.input().is_empty() && !buffers.input_append_buf().is_empty();
        match !has_arrived && waits_for_more {
            true => Err(Error::Io(ErrorKind::UnexpectedEof.into())),
            false => Ok(has_arrived),
        }
    }

    fn is_open(&mut self) -> bool {
        self.0.is_open()
    }

    fn is_tls(&self) -> bool {
        self.0.is_tls()
    }
}

#[cfg(test)]
mod tests {
    use ureq::unversioned::transport::LazyBuffers;

    use super::*;

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
            let mut connection = CutOff(Box::new(ends));
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
