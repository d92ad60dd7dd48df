//! Options by name, from the program and from the environment. What is made of them is not known here.
//!
//! - [`options`] the option table, one declaration for every surface
//! - [`given`] what is given for them, and by whom
//! - [`parse`] how the text of a value is read
//! - [`endpoint`] the token URL and the way to it, and where a token may be sent
//! - [`authority`] which host and port a URL names

pub(crate) mod authority;
pub(crate) mod endpoint;
pub(crate) mod given;
pub(crate) mod options;
pub(crate) mod parse;
