//! Options by key, from the program and from the environment. Nothing here knows what they are used
//! for.
//!
//! - [`table`] the option table, one declaration for every surface; [`secrecy`] which values may be
//!   shown
//! - [`given`] what the program and the environment set; [`options`] the resulting values;
//!   [`variables`] the environment variables that clients heed besides
//! - [`parse`] parses the text of a value
//! - [`token_url`] the URL that the secret is sent to; [`proxy`] how it is reached; [`api_hosts`]
//!   where a token may be sent; `redis_url` the URL of a shared store
//! - [`authority`] which host and port a URL names

pub(crate) mod api_hosts;
pub(crate) mod authority;
pub(crate) mod given;
pub(crate) mod options;
pub(crate) mod parse;
pub(crate) mod proxy;
#[cfg(feature = "redis")]
pub(crate) mod redis_url;
pub(crate) mod secrecy;
pub(crate) mod table;
pub(crate) mod token_url;
pub(crate) mod variables;
