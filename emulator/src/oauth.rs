//! The token endpoint's decision: from a request to a grant or a refusal. It involves no clock, token or connection.

mod credentials;
mod readings;
mod refusal;
mod shown;

use std::collections::BTreeSet;

use hyper::header::{CONTENT_TYPE, HeaderMap};

use self::credentials::Credentials;
pub use self::readings::Readings;
pub(crate) use self::refusal::Refusal;
pub(crate) use self::shown::shown;
use crate::account::Account;
use crate::form;
use crate::journal::{shortened, words_kept};
use crate::scope;
use crate::tokens::Grant;

/// The parts of a request that matter to the endpoint.
pub(crate) struct TokenRequest<'a> {
    pub(crate) query: Option<&'a str>,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) body: &'a [u8],
}

/// The result, and what the journal may record of the request.
pub(crate) struct Decision {
    pub(crate) client_id: Option<String>,
    pub(crate) scope: Option<String>,
    pub(crate) outcome: Result<Grant, Refusal>,
}

/// A well-formed request.
struct Asked {
    grant_type: Option<String>,
    scope: Option<String>,
    credentials: Result<Credentials, Refusal>,
}

/// Decides on a request.
pub(crate) fn decide(
    request: &TokenRequest<'_>,
    account: &Account,
    readings: &Readings,
) -> Decision {
    let asked = match read(request, readings) {
        Ok(asked) => asked,
        Err(refusal) => {
            return Decision { client_id: None, scope: None, outcome: Err(refusal) };
        }
    };
    let credentials = asked.credentials.as_ref().ok();
    Decision {
        client_id: credentials.map(|given| given.id.clone()).filter(|id| account.knows(id)),
        scope: asked.scope.as_deref().map(|scope| presentable(scope, credentials, account)),
        outcome: grant(asked, account, readings),
    }
}

fn grant(asked: Asked, account: &Account, readings: &Readings) -> Result<Grant, Refusal> {
    match asked.grant_type.as_deref() {
        None => {
            return Err(Refusal::InvalidRequest("The parameter grant_type is missing."));
        }
        Some("client_credentials") => {}
        Some(_) => return Err(Refusal::UnsupportedGrantType),
    }
    let Credentials { id, secret, by_header } = asked.credentials?;
    let key = account.authenticate(&id, &secret).ok_or(Refusal::InvalidClient { by_header })?;
    let asked = match asked.scope {
        None if readings.scope_optional => key.scopes().join(" "),
        scope => scope.unwrap_or_default(),
    };
    let scopes: BTreeSet<String> =
        scope::words(&asked).ok_or(Refusal::InvalidScope)?.into_iter().collect();
    if scopes.is_empty() || !key.allows(&scopes) {
        return Err(Refusal::InvalidScope);
    }
    Ok(Grant { client_id: key.client_id.clone(), asked, scopes })
}

/// Reads header, query and form, and refuses malformed requests.
fn read(request: &TokenRequest<'_>, readings: &Readings) -> Result<Asked, Refusal> {
    let malformed = |text| Err(Refusal::InvalidRequest(text));
    if !is_form(request.headers) {
        return malformed("The body must be of type application/x-www-form-urlencoded.");
    }
    if names_parameters(request.query) {
        return malformed("Parameters must be in the body, never in the URL.");
    }
    let form = form::parse(request.body).map_err(|fault| {
        Refusal::InvalidRequest(match fault {
            form::Fault::Percent => "The body has a % not followed by two hexadecimal digits.",
            form::Fault::Utf8 => "The body is not UTF-8.",
        })
    })?;
    let mut names = BTreeSet::new();
    if !form.iter().all(|(name, _)| names.insert(name)) {
        return malformed("A parameter occurs more than once.");
    }
    // A parameter without a value counts as omitted (RFC 6749, section 3.2).
    let value = |wanted: &str| {
        let found = form.iter().find(|(name, value)| name == wanted && !value.is_empty());
        found.map(|(_, value)| value.clone())
    };
    let in_body = (value("client_id"), value("client_secret"));
    Ok(Asked {
        grant_type: value("grant_type"),
        scope: value("scope"),
        credentials: credentials::read(request.headers, in_body, readings)?,
    })
}

fn is_form(headers: &HeaderMap) -> bool {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = value.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

fn names_parameters(query: Option<&str>) -> bool {
    let parameters = ["grant_type", "client_id", "client_secret", "scope"];
    query.unwrap_or_default().split('&').any(|pair| {
        let name = pair.split('=').next().unwrap_or_default();
        form::decode(name.as_bytes()).is_ok_and(|name| parameters.contains(&name.as_str()))
    })
}

/// The scopes for the journal, unless they contain a secret.
fn presentable(scope: &str, credentials: Option<&Credentials>, account: &Account) -> String {
    if credentials.is_some_and(|given| scope.contains(&given.secret))
        || words_kept(scope).any(|word| account.knows_secret(word))
    {
        return "(withheld: contains the secret)".to_owned();
    }
    shortened(scope)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;
    use crate::account::NewKey;
    use crate::state::State;

    const FORM: &str = "application/x-www-form-urlencoded";
    const SECRET: &str = "s+e/c r=t&%\u{e9}";
    /// The secret of another key, which could be a scope.
    const WORD: &str = "word";
    const ENCODED: &str = "s%2Be%2Fc+r%3Dt%26%25%C3%A9";

    fn account() -> Account {
        let state = Arc::new(State::in_memory());
        let mut account = Account::new(10, false, Vec::new(), state);
        for id in ["id", "gone"] {
            let key = NewKey::new(id, "a b").client_id(id).client_secret(SECRET);
            account.create(key, 0).expect("a key");
        }
        let key = NewKey::new("word", "a").client_id("word-id").client_secret(WORD);
        account.create(key, 0).expect("a key");
        account.revoke("gone", false, 0).expect("revoked");
        account
    }

    fn ask(headers: &[(&'static str, &str)], query: Option<&str>, body: &str) -> Decision {
        ask_with(&Readings::default(), headers, query, body)
    }

    fn ask_with(
        readings: &Readings,
        headers: &[(&'static str, &str)],
        query: Option<&str>,
        body: &str,
    ) -> Decision {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().expect("a header"));
        }
        decide(&TokenRequest { query, headers: &map, body: body.as_bytes() }, &account(), readings)
    }

    fn form(scope: &str) -> String {
        format!("grant_type=client_credentials&client_id=id&client_secret={ENCODED}&scope={scope}")
    }

    fn body(text: &str) -> Result<Grant, Refusal> {
        ask(&[("content-type", FORM)], None, text).outcome
    }

    const NO_CLIENT: Refusal = Refusal::InvalidClient { by_header: false };

    #[test]
    fn a_subset_is_granted_and_echoed_as_asked() {
        for (sent, asked) in
            [("b+a", "b a"), ("b%20a", "b a"), ("b", "b"), ("a+a", "a a"), ("+a++b+", " a  b ")]
        {
            let grant = body(&form(sent)).expect(sent);
            assert_eq!(grant.asked, asked);
            assert_eq!(grant.scopes, scope::words(asked).expect("words").into_iter().collect());
        }
    }

    #[test]
    fn other_scopes_are_refused_as_a_whole() {
        for sent in ["a+c", "A", "a,b", "", "+", "%22a%22", "a%09b", "%C3%A9"] {
            assert_eq!(body(&form(sent)), Err(Refusal::InvalidScope), "{sent:?}");
        }
        let without = form("").replace("&scope=", "");
        assert_eq!(body(&without), Err(Refusal::InvalidScope));
        let readings = Readings { scope_optional: true, ..Readings::default() };
        let decision = ask_with(&readings, &[("content-type", FORM)], None, &without);
        assert_eq!(decision.outcome.map(|grant| grant.asked), Ok("a b".to_owned()));
    }

    #[test]
    fn wrong_clients_all_get_the_same_refusal() {
        let good = form("a");
        for (from, to) in [
            ("client_id=id", "client_id=other"),
            ("client_id=id", "client_id=gone"),
            ("client_id=id", "client_id="),
            ("client_secret=s", "client_secret=t"),
            ("client_secret=", "unknown="),
        ] {
            let spoilt = good.replace(from, to);
            assert_ne!(spoilt, good);
            assert_eq!(body(&spoilt), Err(NO_CLIENT), "{spoilt}");
        }
    }

    #[test]
    fn the_grant_type_is_one() {
        for other in ["refresh_token", "password", "Client_Credentials"] {
            let sent = form("a").replace("client_credentials", other);
            assert_eq!(body(&sent), Err(Refusal::UnsupportedGrantType));
        }
        for missing in ["grant_type=", "other=x"] {
            let sent = form("a").replace("grant_type=client_credentials", missing);
            assert!(matches!(body(&sent), Err(Refusal::InvalidRequest(_))));
        }
    }

    #[test]
    fn malformed_requests_are_refused_before_anything_else() {
        let malformed =
            |decision: Decision| matches!(decision.outcome, Err(Refusal::InvalidRequest(_)));
        let good = form("a");
        for spoilt in ["&scope=a", "&x=1&x=2", "&x=%", "&x=%zz", "&x=%FF"] {
            assert!(
                malformed(ask(&[("content-type", FORM)], None, &format!("{good}{spoilt}"))),
                "{spoilt}"
            );
        }
        for kind in
            ["application/json", "multipart/form-data", "", "application/x-www-form-urlencodedx"]
        {
            assert!(malformed(ask(&[("content-type", kind)], None, &good)), "{kind}");
        }
        assert!(malformed(ask(&[], None, &good)));
        for query in ["client_secret=x", "a=b&client%5Fid=x"] {
            assert!(malformed(ask(&[("content-type", FORM)], Some(query), &good)));
        }
        assert!(ask(&[("content-type", FORM)], Some("a=b"), &good).outcome.is_ok());
        for kind in [
            "APPLICATION/X-WWW-FORM-URLENCODED",
            "application/x-www-form-urlencoded; charset=utf-8",
        ] {
            assert!(ask(&[("content-type", kind)], None, &good).outcome.is_ok());
        }
    }

    #[test]
    fn basic_is_read_form_encoded_and_never_beside_the_body() {
        let by_header = |pair: &str, body: &str| {
            let header = format!("bAsIc {}", STANDARD.encode(pair));
            ask(&[("content-type", FORM), ("authorization", &header)], None, body).outcome
        };
        let rest = "grant_type=client_credentials&scope=a";
        let good = format!("id:{ENCODED}");
        assert!(by_header(&good, rest).is_ok());
        assert!(by_header(&good, &format!("{rest}&client_id=id")).is_ok());
        for both in ["&client_secret=x", "&client_id=other"] {
            assert!(matches!(
                by_header(&good, &format!("{rest}{both}")),
                Err(Refusal::InvalidRequest(_))
            ));
        }
        for wrong in ["id:x", "id", "", ":", "gone:x", &format!("id:{SECRET}")] {
            assert_eq!(
                by_header(wrong, rest),
                Err(Refusal::InvalidClient { by_header: true }),
                "{wrong}"
            );
        }
        for header in ["Basic", "Basic !", "Bearer x"] {
            let asked = ask(&[("content-type", FORM), ("authorization", header)], None, rest);
            assert_eq!(asked.outcome, Err(Refusal::InvalidClient { by_header: true }), "{header}");
        }
        let twice =
            [("content-type", FORM), ("authorization", "Basic x"), ("authorization", "Basic y")];
        assert!(matches!(ask(&twice, None, rest).outcome, Err(Refusal::InvalidRequest(_))));
        let readings = Readings { basic: false, ..Readings::default() };
        let header = format!("Basic {}", STANDARD.encode(&good));
        let refused =
            ask_with(&readings, &[("content-type", FORM), ("authorization", &header)], None, rest);
        assert_eq!(refused.outcome, Err(NO_CLIENT));
    }

    #[test]
    fn the_journal_gets_known_ids_and_no_secret() {
        let headers = [("content-type", FORM)];
        let decision = ask(&headers, None, &form("a+c"));
        assert_eq!(
            (decision.client_id.as_deref(), decision.scope.as_deref()),
            (Some("id"), Some("a c"))
        );
        let swapped =
            format!("grant_type=client_credentials&client_id={ENCODED}&client_secret=id&scope=a");
        assert_eq!(ask(&headers, None, &swapped).client_id, None);
        let lost = ask(&headers, None, &form(&format!("a+{ENCODED}"))).scope.expect("something");
        assert!(!lost.contains(SECRET), "{lost}");
        let alone = format!("grant_type=client_credentials&client_id=id&scope={WORD}");
        let lost = ask(&headers, None, &alone).scope.expect("something");
        assert!(!lost.contains(WORD), "{lost}");
    }

    #[test]
    fn a_form_is_shown_without_what_may_be_a_secret() {
        let show = |headers: &[(&'static str, &str)], body: &str| {
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                map.append(*name, value.parse().expect("a header"));
            }
            let request = TokenRequest { query: None, headers: &map, body: body.as_bytes() };
            shown(&request, &account())
        };
        let known = "grant_type=client_credentials&client_id=id&client_secret=\u{2588}\u{2588}\u{2588}\u{2588}";
        assert_eq!(show(&[], &form("a+b")), format!("{known}&scope=a b"));
        let dark = "\u{2588}\u{2588}\u{2588}\u{2588}";
        for (body, expected) in [
            (
                format!("client_id={ENCODED}&client_secret=id"),
                format!("client_id={dark}&client_secret={dark}"),
            ),
            (ENCODED.to_owned(), dark.to_owned()),
            (format!("scope=a+{WORD}"), format!("scope={dark}")),
            (
                format!("grant_type={ENCODED}&x={ENCODED}"),
                format!("grant_type={dark}&{dark}={dark}"),
            ),
            (
                format!("client_secret={ENCODED}&scope=a+{ENCODED}"),
                format!("client_secret={dark}&scope={dark}"),
            ),
            ("client_secret=&scope=".to_owned(), "client_secret=&scope=".to_owned()),
            (format!("client_secret={ENCODED}&scope=%"), dark.to_owned()),
        ] {
            assert_eq!(show(&[], &body), expected);
        }
        let basic = format!("Basic {}", STANDARD.encode(format!("id:{ENCODED}")));
        let sent = show(&[("authorization", &basic)], &format!("scope={ENCODED}"));
        assert_eq!(sent, format!("Authorization: {dark} scope={dark}"));
    }
}
