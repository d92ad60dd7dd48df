// Uses every function of the C++ header that works without exceptions, and one whose failure would
// abort. Compiled without exceptions, never run.

#include "tu_token.hpp"

int main()
{
    tu::config options;
    options.set("scope", "asset.view").set("keep_warm", true).load_env();
    options.set("timeout", std::chrono::seconds(5)).set("max_requests_per_minute", 60);
    options.on_credentials([](bool) { return tu::credentials{"id", "secret"}; });
    options.on_event([](const tu::event &) {});
    tu::error failure;
    tu::client client = tu::client::make(options, failure);
    tu::cancel cancel;
    tu::get_options how;
    how.cancel = &cancel;
    const tu::token token = client.try_get(how, failure);
    client.get("asset.view");
    client.get_async([](tu::token, tu::error) {});
    failure = client.try_rotate("id", "secret");
    client.invalidate(token);
    client.invalidate(std::string(token.value()));
    client.may_send_to("https://iris.trackunit.com/");
    cancel.trigger();
    return token && !failure ? 0 : 1;
}
