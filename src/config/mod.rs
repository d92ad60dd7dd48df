//! Options by name, from the program and from the environment. What is made of them is not known here.
//!
//! - [`table`] the option table, one declaration for every surface; [`secrecy`] what of it may be shown
//! - [`given`] what is given for them, and by whom; [`options`] what that comes to
//! - [`parse`] how the text of a value is read
//! - [`token_url`] where the secret is sent to; [`proxy`] the way there; [`api_hosts`] where a token may
//!   be sent to
//! - [`authority`] which host and port a URL names

pub(crate) mod api_hosts;
pub(crate) mod authority;
pub(crate) mod given;
pub(crate) mod options;
pub(crate) mod parse;
pub(crate) mod proxy;
pub(crate) mod secrecy;
pub(crate) mod table;
pub(crate) mod token_url;
