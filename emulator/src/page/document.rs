//! The static part of the page.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::fragments::fragments;
use crate::oauth::Readings;
use crate::route::TOKEN_PATH;
use crate::world::World;

/// Scopes offered for a new key; the first is the one most programs start with.
const USUAL_SCOPES: [&str; 6] =
    ["asset.view", "site.view", "site.update", "api.iso15143.snapshot", "scope1", "scope2"];

/// One-click faults, all for the next token request only.
const QUICK_FAULTS: [(&str, &str); 6] = [
    ("503", r#"{"status":503,"count":1}"#),
    ("429, Retry-After 30", r#"{"retry_after":30,"count":1}"#),
    ("Reset", r#"{"reset":true,"count":1}"#),
    ("Delay 5 s", r#"{"delay":"5s","count":1}"#),
    ("Cut body", r#"{"cut":true,"count":1}"#),
    ("invalid_client", r#"{"error":"invalid_client","count":1}"#),
];

/// The complete page, for the host name in the request.
pub(super) fn render(world: &World, host: &str) -> Markup {
    let token_url = format!("http://{host}{TOKEN_PATH}");
    let parts = fragments(world);
    // The fragments are HTML already; the ids are those of `fragments`.
    let part = |id: &str| PreEscaped(parts.get(id).map_or("", String::as_str));
    html! {
        (DOCTYPE)
        html lang="en" {
            (head())
            body {
                a.skip href="#keys-title" { "Skip to the API keys" }
                (header(&token_url))
                main {
                    section.keys aria-labelledby="keys-title" {
                        div.bar {
                            h2 #keys-title tabindex="-1" { "API keys" }
                            span.count #keys-count { (part("keys-count")) }
                            button.primary.needs-script #new-key type="button" { "New key" }
                        }
                        ul.plain #keys { (part("keys")) }
                        div #revoked-keys { (part("revoked-keys")) }
                    }
                    div.side {
                        (clock_panel(world, part("clock-offset")))
                        (fault_panel(part("faults")))
                    }
                    (request_panel(part("requests")))
                }
                (footer(world.is_kept()))
                (create_dialog())
                (secret_dialog())
                (confirm_dialog(&world.settings.readings))
                p #toast role="status" {}
                p.visually-hidden #arrivals role="status" {}
            }
        }
    }
}

fn head() -> Markup {
    html! {
        head {
            meta charset="utf-8";
            meta name="viewport" content="width=device-width, initial-scale=1";
            meta name="color-scheme" content="light dark";
            title { "tu-token emulator" }
            link rel="icon" type="image/svg+xml" href="/_emulator/icon.svg";
            link rel="stylesheet" href="/_emulator/page.css";
            script src="/_emulator/page.js" defer {}
        }
    }
}

fn header(token_url: &str) -> Markup {
    html! {
        header.top {
            img src="/_emulator/icon.svg" alt="" width="32" height="32";
            div.title {
                h1 { "tu-token emulator" }
                p.endpoint {
                    code #token-url { (token_url) }
                    button.quiet.needs-script type="button" data-copy=(token_url)
                        aria-label="Copy the token URL" { "Copy" }
                }
            }
            p.connection.needs-script #connection role="status" { "Connecting" }
            noscript {
                p.notice { "Without JavaScript this page is read-only. To change something, use the JSON API under "
                    code { "/api-keys" } " and " code { "/_emulator" } "." }
            }
        }
    }
}

fn clock_panel(world: &World, offset: PreEscaped<&str>) -> Markup {
    let now = humantime::format_rfc3339_seconds(world.clock.wall()).to_string();
    html! {
        section.panel aria-labelledby="clock-title" {
            div.bar {
                h2 #clock-title { "Clock" }
                span.count #clock-offset { (offset) }
            }
            p.now { time #clock-now datetime=(now) { (now) } }
            div.buttons.needs-script {
                button type="button" data-advance="5m" { "+5 min" }
                button type="button" data-advance="20m" { "+20 min" }
            }
            p.small { "Advance the clock to make tokens expire. New tokens live " (world.settings.expires_in) "\u{a0}s." }
        }
    }
}

fn fault_panel(list: PreEscaped<&str>) -> Markup {
    html! {
        section.panel aria-labelledby="faults-title" {
            div.bar {
                h2 #faults-title { "Faults" }
                button.quiet.needs-script #clear-faults type="button" { "Clear all" }
            }
            ul.plain #faults { (list) }
            div.needs-script {
                h3 #quick-title { "For the next token request" }
                div.buttons role="group" aria-labelledby="quick-title" {
                    @for (label, fault) in QUICK_FAULTS {
                        button type="button" data-fault=(fault) { (label) }
                    }
                }
            }
        }
    }
}

fn request_panel(rows: PreEscaped<&str>) -> Markup {
    html! {
        section.requests aria-labelledby="requests-title" {
            div.bar {
                h2 #requests-title { "Requests" }
                span.count { "latest 50, secrets blacked out" }
                div.buttons.needs-script {
                    button.quiet #pause type="button" aria-pressed="false" { "Pause" }
                    button.quiet #clear-requests type="button" { "Clear" }
                }
            }
            table role="table" aria-labelledby="requests-title" {
                thead role="rowgroup" { tr role="row" {
                    @for title in ["Time", "Request", "Key and scope", "Response"] {
                        th scope="col" role="columnheader" { (title) }
                    }
                } }
                tbody #requests role="rowgroup" { (rows) }
            }
        }
    }
}

fn footer(kept: bool) -> Markup {
    html! {
        footer {
            p {
                @if kept { "Keys and tokens are stored in the state file, as hashes." }
                @else { "Everything is in memory and lost when the emulator ends; use --state FILE to keep keys and tokens." }
            }
            p { "As JSON: " a href="/api-keys" { "API keys" } ", " a href="/_emulator/journal" { "journal" } ", "
                a href="/_emulator/faults" { "faults" } }
        }
    }
}

fn create_dialog() -> Markup {
    html! {
        dialog #create aria-labelledby="create-title" {
            form #create-form method="dialog" {
                h2 #create-title { "New API key" }
                label for="key-name" { "Name" }
                input #key-name name="name" type="text" required maxlength="100" autocomplete="off"
                    autocapitalize="none" spellcheck="false" aria-describedby="key-name-hint";
                p.small #key-name-hint { "Unique among the active keys." }
                label for="key-description" { "Description" }
                input #key-description name="description" type="text" maxlength="500" autocomplete="off";
                fieldset {
                    legend { "Allowed scopes" }
                    div.choices {
                        @for (number, scope) in USUAL_SCOPES.iter().enumerate() {
                            span {
                                input type="checkbox" name="scope" value=(scope) id={ "scope-" (number) }
                                    checked[number == 0];
                                label for={ "scope-" (number) } { code { (scope) } }
                            }
                        }
                    }
                    label for="other-scopes" { "Other scopes" }
                    input #other-scopes name="other" type="text" autocomplete="off" autocapitalize="none"
                        spellcheck="false" aria-describedby="other-scopes-hint";
                    p.small #other-scopes-hint { "Separated by spaces." }
                }
                p.error #create-error role="alert" {}
                div.buttons.end {
                    button type="button" data-close { "Cancel" }
                    button.primary type="submit" { "Create key" }
                }
            }
        }
    }
}

fn secret_dialog() -> Markup {
    html! {
        dialog #secret aria-labelledby="secret-title" aria-describedby="secret-hint" {
            h2 #secret-title { "Save the client secret" }
            p #secret-hint { "It is shown only once; the emulator keeps just a hash of it." }
            label for="client-secret" { "Client secret" }
            div.copyable {
                input #client-secret type="text" readonly autocomplete="off" spellcheck="false";
                button type="button" data-copy-from="client-secret" aria-label="Copy the client secret" { "Copy" }
            }
            div.bar {
                h3 #exports-title { "For a shell" }
                button.primary type="button" data-copy-from="exports" { "Copy lines" }
            }
            pre #exports tabindex="0" role="region" aria-labelledby="exports-title" {}
            div.buttons.end {
                button type="button" data-close { "I have saved it" }
            }
        }
    }
}

fn confirm_dialog(readings: &Readings) -> Markup {
    let rotate = match readings.rotate_overlap {
        true => "The current secret works until the next rotation.",
        false => "The current secret will be refused at once.",
    };
    let revoke = match readings.revoke_ends_tokens {
        true => {
            "It gets no more tokens, and its existing tokens end at once. This cannot be undone."
        }
        false => {
            "It gets no more tokens; existing tokens work until they expire. This cannot be undone."
        }
    };
    html! {
        dialog #confirm aria-labelledby="confirm-title" aria-describedby="confirm-text"
            data-rotate=(rotate) data-revoke=(revoke) {
            h2 #confirm-title { "Are you sure?" }
            p #confirm-text {}
            p.error #confirm-error role="alert" {}
            div.buttons.end {
                button type="button" data-close autofocus { "Cancel" }
                button.primary #confirm-yes type="button" { "Yes" }
            }
        }
    }
}
