//! Polls a fleet: two threads call two IRIS APIs with one client, and so with one token per scope. If
//! the API refuses a token, the request is repeated once with a new one.
//!
//! ```sh
//! export TRACKUNIT_CLIENT_ID=... TRACKUNIT_CLIENT_SECRET=...
//! cargo run
//! ```
//!
//! `IRIS_URL` replaces the base URL `https://iris.trackunit.com`, for example with the emulator's.

use std::error::Error;

use serde_json::Value;
use tu_token::{Client, GetOptions};
use ureq::Agent;

type Failure = Box<dyn Error + Send + Sync>;

/// Calls an API with a token for this scope.
fn ask(client: &Client, agent: &Agent, scope: &str, url: &str) -> Result<Value, Failure> {
    if !client.may_send_to(url) {
        return Err(format!("tokens may not be sent to {url}: see the option api_hosts").into());
    }
    let options = GetOptions { scope: Some(scope), ..GetOptions::default() };
    for is_last in [false, true] {
        let token = client.get(&options)?;
        let mut answer = agent.get(url).header("authorization", token.bearer()).call()?;
        match answer.status().as_u16() {
            // A wrong URL often returns a web page.
            200 => {
                return answer.body_mut().read_json().map_err(|error| {
                    format!("{url} answered, but not in JSON (is IRIS_URL right?): {error}").into()
                });
            }
            401 if is_last => client.api_refused(url),
            401 => client.invalidate(&token),
            status => return Err(format!("{url} answered {status}").into()),
        }
    }
    Err(format!("{url} refused two tokens").into())
}

/// Counts the assets, page by page.
fn assets(client: &Client, agent: &Agent, base: &str) -> Result<usize, Failure> {
    let mut total = 0;
    for page in 0.. {
        let url = format!("{base}/api/asset/v2/assets?size=20&page={page}");
        let answer = ask(client, agent, "asset.view", &url)?;
        match list(&answer, "content", &url)? {
            0 => break,
            listed => total += listed,
        }
    }
    Ok(total)
}

/// Counts the machines on the first page of the fleet (ISO 15143-3). The real service allows one
/// request per page in 15 minutes.
fn machines(client: &Client, agent: &Agent, base: &str) -> Result<usize, Failure> {
    let url = format!("{base}/public/api/aemp/v2/15143/-3/Fleet/1");
    let answer = ask(client, agent, "api.iso15143.snapshot", &url)?;
    list(&answer, "Equipment", &url)
}

/// The length of the list of this name.
fn list(answer: &Value, name: &str, url: &str) -> Result<usize, Failure> {
    let list = answer[name].as_array();
    list.map(Vec::len)
        .ok_or_else(|| format!("{url} answered, but without a list \"{name}\"").into())
}

fn main() -> Result<(), Failure> {
    let base = std::env::var("IRIS_URL").ok().filter(|base| !base.is_empty());
    let base = base.as_deref().unwrap_or("https://iris.trackunit.com").trim_end_matches('/');
    let client = Client::from_env()?;
    // 4xx responses are handled above, not as errors.
    let agent: Agent = Agent::config_builder().http_status_as_error(false).build().into();
    std::thread::scope(|scope| {
        let assets = scope.spawn(|| assets(&client, &agent, base));
        let machines = scope.spawn(|| machines(&client, &agent, base));
        let joined = "the thread does not panic";
        println!("{} assets", assets.join().expect(joined)?);
        println!("{} machines on the fleet's first page", machines.join().expect(joined)?);
        Ok(())
    })
}
