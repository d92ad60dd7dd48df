//! The token request: RFC 6749 section 4.4.2, byte for byte.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use form_urlencoded::Serializer;
use zeroize::Zeroizing;

use crate::config::options::{ClientAuth, Options};
use crate::credentials::Credentials;
use crate::scope::ScopeSet;

/// The request's contents. Wiped when dropped.
pub(crate) struct TokenRequest {
    /// The form. The same for every renewal.
    pub(crate) body: Zeroizing<String>,
    /// The value of the Authorization header, for `basic`.
    pub(crate) authorization: Option<Zeroizing<String>>,
    pub(crate) user_agent: String,
}

impl TokenRequest {
    /// `name`: the client's.
    pub(crate) fn new(
        options: &Options,
        name: Option<&str>,
        credentials: &Credentials,
        scope: &ScopeSet,
    ) -> Self {
        let (id, secret) = (credentials.client_id.reveal(), credentials.client_secret.reveal());
        // Room for the worst case: growing would leave partial copies in freed memory.
        let params: usize =
            options.params.iter().map(|(key, value)| key.len() + value.len() + 1).sum();
        let room = 3 * (id.len() + secret.len() + scope.wire().len() + params) + 512;
        let mut form = Serializer::new(String::with_capacity(room));
        form.append_pair("grant_type", "client_credentials");
        if options.client_auth == ClientAuth::Post {
            form.append_pair("client_id", id).append_pair("client_secret", secret);
        }
        form.append_pair("scope", scope.wire());
        form.extend_pairs(options.params.iter().map(|(key, value)| (key, value)));
        Self {
            body: Zeroizing::new(form.finish()),
            authorization: (options.client_auth == ClientAuth::Basic)
                .then(|| Zeroizing::new(format!("Basic {}", *basic(id, secret)))),
            user_agent: options.user_agent_of(name),
        }
    }
}

/// RFC 6749 section 2.3.1: id and secret are form-encoded before they are joined and
/// base64-encoded.
pub(crate) fn basic(id: &str, secret: &str) -> Zeroizing<String> {
    let pair = Zeroizing::new(format!("{}:{}", *form_encoded(id), *form_encoded(secret)));
    Zeroizing::new(STANDARD.encode(pair.as_bytes()))
}

/// One value as encoded in a form.
pub(crate) fn form_encoded(text: &str) -> Zeroizing<String> {
    Zeroizing::new(form_urlencoded::byte_serialize(text.as_bytes()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(options: &Options, secret: &str) -> TokenRequest {
        let scope = ScopeSet::parse("b a b").unwrap();
        TokenRequest::new(options, None, &Credentials::new("id", secret), &scope)
    }

    #[test]
    fn the_form_is_as_documented() {
        assert_eq!(
            *request(&Options::default(), "s+e/c r=t&%\u{e9}").body,
            "grant_type=client_credentials&client_id=id\
             &client_secret=s%2Be%2Fc+r%3Dt%26%25%C3%A9&scope=b+a"
        );
    }

    #[test]
    fn more_parameters_come_last() {
        let options = Options {
            params: vec![("audience".to_owned(), "x y".to_owned())],
            ..Options::default()
        };
        assert!(request(&options, "s").body.ends_with("&scope=b+a&audience=x+y"));
    }

    #[test]
    fn basic_moves_the_credentials_out_of_the_form() {
        let options = Options { client_auth: ClientAuth::Basic, ..Options::default() };
        let request = request(&options, "s");
        assert_eq!(*request.body, "grant_type=client_credentials&scope=b+a");
        assert_eq!(**request.authorization.as_ref().unwrap(), "Basic aWQ6cw==");
    }

    #[test]
    fn basic_form_encodes_before_base64() {
        assert_eq!(
            *basic("1PpG/Q 1", "z/tZ9VwFZqApmIQ+ZH1I5pLk/uB4ud:X2/8bL+wfFTt1rFw="),
            "MVBwRyUyRlErMTp6JTJGdFo5VndGWnFBcG1JUSUyQlpIMUk1cExrJTJGdUI0dWQlM0FYMiUyRjhiTCUyQndmRlR0MXJGdyUzRA=="
        );
    }
}
