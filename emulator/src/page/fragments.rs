//! The dynamic fragments of the page. Each is the content of the element with that id.

use std::collections::BTreeMap;

use maud::{Markup, html};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::words::{ago, counted, time_of_day};
use crate::account::ApiKey;
use crate::faults::queue::QueuedFault;
use crate::journal::Entry;
use crate::world::{Pieces, World};

/// The number of requests shown. The journal has all of them.
const REQUESTS: usize = 50;

/// The fragments as JSON strings, for the script.
pub(crate) fn pieces(world: &World) -> Pieces {
    let text = |markup: String| Value::String(markup).to_string().into();
    fragments(world).into_iter().map(|(id, markup)| (id, text(markup))).collect()
}

/// The content of each element that changes, by its id.
pub(crate) fn fragments(world: &World) -> BTreeMap<&'static str, String> {
    let keys = world.keys();
    let (active, revoked): (Vec<&ApiKey>, Vec<&ApiKey>) =
        keys.iter().partition(|key| key.is_active());
    let ahead = world.clock.offset();
    let pieces = [
        ("keys-count", html! { (active.len()) " of " (world.settings.max_keys) }),
        ("keys", key_list(&active)),
        ("revoked-keys", revoked_list(&revoked)),
        ("requests", request_rows(&world.newest_entries(REQUESTS), &keys)),
        ("faults", fault_list(&world.faults())),
        (
            "clock-offset",
            html! {
                @if ahead.is_zero() { "On time" }
                @else { b { (humantime::format_duration(ahead)) } " ahead" }
            },
        ),
    ];
    pieces.into_iter().map(|(id, markup)| (id, markup.into_string())).collect()
}

fn key_list(keys: &[&ApiKey]) -> Markup {
    html! {
        @for key in keys {
            li.key id=(element_id(key)) {
                div.key-what {
                    h3 { (key.name) }
                    @if !key.description.is_empty() { p.description { (key.description) } }
                    p.client-id {
                        code { (key.client_id) }
                        button.quiet type="button" data-copy=(key.client_id)
                            aria-label={ "Copy the client id of " (key.name) } { "Copy" }
                    }
                    (scope_list(key))
                }
                (facts(key))
                div.key-actions {
                    button type="button" data-action="rotate" data-id=(key.client_id) data-name=(key.name)
                        aria-label={ "Rotate the secret of " (key.name) } { "Rotate" }
                    button.danger type="button" data-action="revoke" data-id=(key.client_id) data-name=(key.name)
                        aria-label={ "Revoke " (key.name) } { "Revoke" }
                }
            }
        }
        @if keys.is_empty() {
            li.empty #no-keys { "No active key. Create one to get tokens." }
        }
    }
}

fn revoked_list(keys: &[&ApiKey]) -> Markup {
    html! {
        @if !keys.is_empty() {
            details #revoked {
                summary { (counted(keys.len() as u64, "revoked key")) }
                ul.plain {
                    @for key in keys.iter().rev() {
                        li.key.gone id=(element_id(key)) {
                            div.key-what {
                                h3 { (key.name) " " span.tag { "revoked" } }
                                @if !key.description.is_empty() { p.description { (key.description) } }
                                p.client-id { code { (key.client_id) } }
                                (scope_list(key))
                            }
                            (facts(key))
                        }
                    }
                }
            }
        }
    }
}

fn scope_list(key: &ApiKey) -> Markup {
    html! {
        ul.scopes aria-label="Allowed scopes" {
            @for scope in &key.scopes { li { code { (scope) } } }
        }
    }
}

fn facts(key: &ApiKey) -> Markup {
    let (what, when) = match (&key.revoked, &key.rotated) {
        (Some(revoked), _) => ("Revoked", revoked),
        (None, Some(rotated)) => ("Rotated", rotated),
        (None, None) => ("Created", &key.created),
    };
    html! {
        dl.facts {
            div { dt { "Tokens minted" } dd { (key.tokens_minted) } }
            div {
                dt { "Last use" }
                dd { @match &key.last_used { Some(time) => (ago(time)), None => "never" } }
            }
            div { dt { (what) } dd { (ago(when)) } }
        }
    }
}

/// An id without blanks, whatever the client id is.
fn element_id(key: &ApiKey) -> String {
    format!("key-{}", utf8_percent_encode(&key.client_id, NON_ALPHANUMERIC))
}

fn request_rows(entries: &[Entry], keys: &[ApiKey]) -> Markup {
    html! {
        @for entry in entries {
            tr role="row" id={ "request-" (entry.sequence) } {
                td.when role="cell" { (time_of_day(&entry.time)) }
                td.what role="cell" {
                    div.line { b { (entry.method) } " " span { (entry.route) } }
                    @if let Some(form) = &entry.form { div.small.form { (form) } }
                    div.small { (origin(entry)) }
                }
                td.who role="cell" {
                    @if let Some(id) = &entry.client_id { div { (name_of(id, keys)) } }
                    @if let Some(scope) = &entry.scope { div.small.form { (scope) } }
                }
                td.answer role="cell" {
                    span class={ "status " (kind(entry)) } {
                        @match entry.status { Some(status) => (status), None => "\u{2013}" }
                    }
                    " " span.outcome { (entry.outcome.replace('_', " ")) }
                    @if let Some(fault) = entry.fault { " " span.tag { "fault " (fault) } }
                }
            }
        }
        @if entries.is_empty() {
            tr #no-requests role="row" { td.empty role="cell" colspan="4" {
                p { "No requests yet. Try this in a shell with the export lines of a key:" }
                pre tabindex="0" { code { (EXAMPLE) } }
            } }
        }
    }
}

const EXAMPLE: &str = r#"printf %s "$TRACKUNIT_CLIENT_SECRET" | curl "$TRACKUNIT_TOKEN_URL" \
  --data-urlencode grant_type=client_credentials \
  --data-urlencode "client_id=$TRACKUNIT_CLIENT_ID" \
  --data-urlencode client_secret@- \
  --data-urlencode "scope=$TRACKUNIT_SCOPE""#;

/// The user agent and the body's fingerprint.
fn origin(entry: &Entry) -> String {
    let print = entry.body_fingerprint.as_ref().map(|print| format!("body {print}"));
    let parts = [entry.user_agent.clone(), print];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" \u{b7} ")
}

fn name_of<'a>(client_id: &'a str, keys: &'a [ApiKey]) -> &'a str {
    keys.iter().find(|key| key.client_id == client_id).map_or(client_id, |key| &key.name)
}

/// The CSS class for the status's colour.
fn kind(entry: &Entry) -> &'static str {
    match entry.status {
        Some(200..300) => "good",
        Some(300..500) => "refused",
        Some(_) => "failed",
        None if entry.outcome == "unanswered" => "waiting",
        None => "failed",
    }
}

fn fault_list(faults: &[QueuedFault]) -> Markup {
    html! {
        @for queued in faults.iter().take(REQUESTS) {
            li id={ "fault-" (queued.id) } {
                div.line {
                    span.tag { "fault " (queued.id) } " "
                    @match queued.left {
                        Some(left) => (format!("next {}", counted(left, "request"))),
                        None => "until cleared",
                    }
                    " to " (queued.fault.pattern())
                }
                code { (effect(queued)) }
            }
        }
        @if faults.len() > REQUESTS { li #more-faults { "and " (faults.len() - REQUESTS) " more" } }
        @if faults.is_empty() { li.empty #no-faults { "None: every request gets its normal response." } }
    }
}

/// The fault as JSON, without the members shown in the line above.
fn effect(queued: &QueuedFault) -> String {
    let mut members = serde_json::to_value(&*queued.fault).unwrap_or_default();
    if let Value::Object(members) = &mut members {
        members.remove("count");
        members.remove("route");
    }
    members.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::NewKey;
    use crate::faults::Fault;
    use crate::oauth::Readings;
    use crate::state::{Kept, State};
    use crate::world::Settings;

    #[test]
    fn text_from_clients_is_escaped() {
        let settings = Settings {
            expires_in: 1,
            max_keys: 3,
            token_length: 40,
            readings: Readings::default(),
        };
        let world = World::new(settings, State::in_memory(), Kept::nothing());
        let odd = "<script>'\"&";
        let key = NewKey::new(odd, "a<b>").description(odd).client_id(format!("{odd} id"));
        world.create_key(key).expect("a key");
        world.arrive(odd, odd, Some(odd));
        world.add_faults(vec![Fault::body(odd)]).expect("taken");
        let all = fragments(&world).into_values().collect::<String>();
        assert!(!all.contains("<script") && all.contains("&lt;script&gt;"), "{all}");
        assert_eq!(fragments(&world)["keys-count"], "1 of 3");
    }
}
