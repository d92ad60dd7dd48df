//! Connections as ureq makes them, but for one error.

use std::io;

use ureq::unversioned::transport::{ConnectionDetails, Connector, DefaultConnector, Transport};

/// Makes connections, through the proxy if there is one.
#[derive(Debug, Default)]
pub(crate) struct Connect(DefaultConnector);

impl Connector for Connect {
    type Out = Box<dyn Transport>;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<()>,
    ) -> Result<Option<Self::Out>, ureq::Error> {
        self.0.connect(details, chained).map_err(|error| match error {
            // Nobody but a proxy speaks HTTP before there is a connection: what is not HTTP is not
            // the answer of the token endpoint.
            ureq::Error::Protocol(_) => {
                io::Error::new(io::ErrorKind::InvalidData, "the proxy's answer is not HTTP").into()
            }
            other => other,
        })
    }
}
