//! The page on several devices and in both colour schemes: checks that nothing is cut off, and takes screenshots.

use std::fs;
use std::path::PathBuf;

use tu_token_browser_tests::{Device, Page, Shown, until};
use tu_token_emulator::{Fault, NewKey};

/// The narrowest supported window, a phone, a desktop.
const DEVICES: [Device; 3] = [
    Device { width: 320, height: 640, is_phone: true },
    Device { width: 390, height: 844, is_phone: true },
    Device { width: 1280, height: 800, is_phone: false },
];

/// `target/screenshots`, of the whole workspace.
fn directory() -> PathBuf {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target/screenshots");
    fs::create_dir_all(&path).expect("a directory for the pictures");
    path
}

/// Fills every part of the page: long and short names, a revoked key, faults, all kinds of responses.
fn fill(page: &Page) {
    let emulator = &page.emulator;
    let long = "a-name-without-a-place-to-break-".repeat(3);
    let key = NewKey::new(long, "asset.view site.view site.update api.iso15143.snapshot scope1")
        .description("A description that is long enough to go over more than one line, as people write them.");
    let issued = emulator.create_key(key).expect("a key");
    let gone = emulator.create_key(NewKey::new("gone", "asset.view")).expect("a key");
    emulator.revoke(&gone.client_id).expect("revoked");
    let shown = Shown { id: issued.client_id, secret: issued.client_secret };
    page.mint(&shown).expect("a token");
    page.mint(&Shown { secret: "wrong".to_owned(), ..shown.clone() }).expect_err("refused");
    emulator.faults([Fault::error("invalid_scope").once()]).expect("taken");
    page.mint(&shown).expect_err("a fault");
    emulator.faults([Fault::status(503).retry_after(30).times(2), Fault::reset()]).expect("taken");
    until("the last request is listed", || page.has("#request-3"));
}

/// Checks the current scene on all devices and in both schemes.
fn look(page: &Page, scene: &str, whole: bool) {
    for device in DEVICES {
        let width = device.width;
        for scheme in ["light", "dark"] {
            page.browser.look(device, scheme);
            // Not `innerWidth`, because a phone zooms out if the page is too wide.
            let needed = page.number("return document.documentElement.scrollWidth", "");
            assert!(needed <= width.into(), "{scene} needs {needed} px, and {width} are there");
            let within = "return Math.max(0, ...[...document.querySelectorAll('dialog[open]')]
                .map((dialog) => dialog.scrollWidth - dialog.clientWidth))";
            assert_eq!(page.number(within, ""), 0, "the dialog {scene} at {width} px");
            let file = directory().join(format!("{scene}-{width}-{scheme}.png"));
            fs::write(file, page.browser.picture(whole)).expect("a picture");
        }
    }
}

#[test]
#[ignore = "needs chromium and chromedriver"]
fn the_page_fits_wide_and_narrow_windows() {
    let page = Page::open();
    look(&page, "empty", true);
    fill(&page);
    look(&page, "full", true);
    page.browser.click("#revoked summary");
    page.browser.click("#new-key");
    look(&page, "create", false);
    page.browser.fill("#key-name", "reports");
    page.browser.click("#create [type=submit]");
    let key = page.shown();
    look(&page, "secret", false);
    page.saved();
    page.browser.click(&format!("[data-action=revoke][data-id='{}']", key.id));
    look(&page, "confirm", false);
    page.browser.click("#confirm [data-close]");
    page.is_clean();
    for number in page.emulator.keys().iter().filter(|key| key.is_active()).count()..10 {
        let name = format!("key {number}");
        page.emulator.create_key(NewKey::new(name, "asset.view")).expect("a key");
    }
    page.ask_for_key("one too many", "", "");
    until("the reason is shown", || page.text("#create-error").contains("10"));
    look(&page, "refused", false);
}
