//! What ureq's configuration has in common for all requests.
//!
//! Made once a process, by the thread that creates the first client: to make one, ureq looks at the
//! environment for a proxy (the answer is not used). A thread of the library must not do that
//! later, while the program may be changing its environment (setenv(3)).

use once_cell::race::OnceBox;
use ureq::config::Config;

use super::http::MAX_HEADER_BYTES;
use crate::sync::global;

// Of a connection below TLS, which passes on what it gets. ureq fills its buffers with zeros, and for
// each of their pages the kernel has to find one: what is larger than needed takes time.
const RECEIVED_BYTES: usize = 8 * 1024;
const SENT_BYTES: usize = 4 * 1024;

global! {
    static CONFIG: OnceBox<Config> = OnceBox::new();
}

pub(super) fn of_process() -> &'static Config {
    CONFIG.get_or_init(|| {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .max_idle_connections(0)
            .max_response_header_size(MAX_HEADER_BYTES)
            .input_buffer_size(RECEIVED_BYTES)
            .output_buffer_size(SENT_BYTES)
            // The one that was found may have a password.
            .proxy(None)
            .build();
        Box::new(config)
    })
}
