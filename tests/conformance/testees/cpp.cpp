// The testee for C++: performs the request in each line of JSON on standard input with tu_token.hpp, and reports the
// result as a line of JSON. It checks nothing.
#define TU_TEST_CLOCK
#include <tu_token.hpp>

#include <chrono>
#include <functional>
#include <future>
#include <iostream>
#include <map>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using nlohmann::json;
using std::chrono::milliseconds;

namespace {

// --- what is reported --------------------------------------------------------------------------

json cause_of(const tu::error &error) {
  if (!error.cause()) return nullptr;
  try {
    std::rethrow_exception(error.cause());
  } catch (const std::exception &cause) {
    return cause.what();
  }
}

json failed(const tu::error &error) {
  return {{"error",
           {{"status", error.status()},
            {"message", error.what()},
            {"oauth_code", error.oauth_code().empty() ? json() : json(error.oauth_code())},
            {"http_status", error.http_status()},
            {"retryable", error.retryable()},
            {"retry_after_ms", error.retry_after() ? error.retry_after()->count() : -1},
            {"cause", cause_of(error)}}}};
}

json shown(const tu::token &token) {
  return {{"token", token.value()},
          {"bearer", token.bearer()},
          {"header", token.header()},
          {"scope", token.scope()},
          {"expires_in_ms", token.expires_in().count()},
          {"fresh_for_ms", token.fresh_for().count()}};
}

json shown(const tu::stats &stats) {
  return {{"stats",
           {{"state", stats.state},
            {"last_status", stats.last_status},
            {"expires_in_ms", stats.expires_in.count()},
            {"next_request_in_ms", stats.next_request_in.count()},
            {"last_fetch_ms", stats.last_fetch.count()},
            {"waits", stats.waits},
            {"requests", stats.requests},
            {"renewals", stats.renewals},
            {"failures", stats.failures}}}};
}

json shown(const tu::event &event) {
  return {{"kind", event.kind},
          {"status", event.status},
          {"client", event.client},
          {"scope", event.scope},
          {"message", event.message},
          {"fingerprint", event.fingerprint},
          {"http_status", event.http_status},
          {"attempt", event.attempt},
          {"duration_ms", event.duration.count()},
          {"wait_ms", event.wait ? event.wait->count() : -1}};
}

const json ok = {{"ok", true}};

json unsupported(const std::string &what) {
  return {{"unsupported", what}};
}

// --- clients -----------------------------------------------------------------------------------

/// Filled on a library thread, read on the main one.
struct events {
  std::mutex lock;
  json told = json::array();
};

struct known_client {
  tu::client client;
  std::shared_ptr<events> noted;
};

std::map<std::string, known_client> clients;

/// Returns one item of the script per call, then repeats the last one.
class scripted_credentials {
 public:
  explicit scripted_credentials(json script) : state_(std::make_shared<state>()) {
    state_->script = std::move(script);
  }

  std::optional<tu::credentials> operator()(bool) const {
    const json item = next();
    if (item.is_string()) throw std::runtime_error(item.get<std::string>().substr(6));
    if (item.is_null()) return std::nullopt;
    return tu::credentials{item.at(0), item.at(1)};
  }

 private:
  struct state {
    std::mutex lock;
    json script;
    std::size_t calls = 0;
  };

  json next() const {
    const std::lock_guard<std::mutex> guard(state_->lock);
    return state_->script.at(std::min(state_->calls++, state_->script.size() - 1));
  }

  std::shared_ptr<state> state_;
};

tu::client &client_of(const json &request) {
  return clients.at(request.at("client")).client;
}

json new_client(const json &request) {
  clients.erase(request.at("client").get<std::string>());
  tu::config config;
  for (const auto &[key, value] : request.at("options").items())
    config.set(key, value.get<std::string>());
  if (request.contains("credentials"))
    config.on_credentials(scripted_credentials(request.at("credentials")));
  const auto noted = std::make_shared<events>();
  config.on_event([noted](const tu::event &event) {
    const std::lock_guard<std::mutex> guard(noted->lock);
    noted->told.push_back(shown(event));
  });
  clients.emplace(request.at("client"), known_client{tu::client(config), noted});
  return ok;
}

// --- getting tokens ----------------------------------------------------------------------------

tu::get_options options_of(const json &request, const tu::cancel *cancel) {
  tu::get_options options;
  if (request.contains("scope")) options.scope = request.at("scope").get<std::string>();
  if (request.contains("timeout_ms")) {
    const long ms = request.at("timeout_ms");
    options.timeout = ms < 0 ? tu::no_wait : milliseconds(ms);
  }
  options.min_ttl = milliseconds(request.value("min_ttl_ms", 0));
  options.cancel = cancel;
  return options;
}

/// Callers started at the same time on separate threads.
struct waits {
  std::shared_ptr<tu::cancel> cancel = std::make_shared<tu::cancel>();
  std::vector<std::future<json>> results;
};

std::map<std::string, waits> all_waits;

waits started(const json &request) {
  waits group;
  std::promise<void> all_are_there;
  const std::shared_future<void> start(all_are_there.get_future());
  tu::client &client = client_of(request);
  const auto call = [&client, start, cancel = group.cancel,
                     options = options_of(request, group.cancel.get())] {
    start.wait();
    try {
      return shown(client.get(options));
    } catch (const tu::error &error) {
      return failed(error);
    }
  };
  for (int count = request.value("callers", 1); count > 0; count--)
    group.results.push_back(std::async(std::launch::async, call));
  all_are_there.set_value();
  return group;
}

json joined(std::vector<std::future<json>> waiting) {
  json results = json::array();
  for (auto &result : waiting) results.push_back(result.get());
  return {{"results", results}};
}

json get_async(const json &request) {
  std::vector<std::future<json>> results;
  const tu::get_options options = options_of(request, nullptr);
  for (int count = request.value("callers", 1); count > 0; count--) {
    const auto answer = std::make_shared<std::promise<json>>();
    results.push_back(answer->get_future());
    try {
      client_of(request).get_async(options, [answer](const tu::token &token, const tu::error &error) {
        answer->set_value(error ? failed(error) : shown(token));
      });
    } catch (const tu::error &error) {
      answer->set_value(failed(error));
    }
  }
  return joined(std::move(results));
}

json start(const json &request) {
  all_waits.insert_or_assign(request.at("id"), started(request));
  return ok;
}

json cancel(const json &request) {
  all_waits.at(request.at("id")).cancel->trigger();
  return ok;
}

json join(const json &request) {
  auto node = all_waits.extract(request.at("id").get<std::string>());
  return node ? joined(std::move(node.mapped().results)) : unsupported("to join what was not started");
}

// --- the rest ----------------------------------------------------------------------------------

json stats(const json &request) {
  const std::string scope = request.value("scope", "");
  return shown(client_of(request).stats(request.contains("scope") ? scope.c_str() : nullptr));
}

json told(const json &request) {
  events &noted = *clients.at(request.at("client")).noted;
  const std::lock_guard<std::mutex> guard(noted.lock);
  return {{"events", noted.told}};
}

struct handler {
  std::set<std::string> members;
  std::function<json(const json &)> answer;
};

const std::map<std::string, handler> handlers = {
    {"new", {{"do", "client", "options", "credentials"}, new_client}},
    {"get",
     {{"do", "client", "scope", "timeout_ms", "min_ttl_ms", "callers"},
      [](const json &request) { return joined(started(request).results); }}},
    {"get_async", {{"do", "client", "scope", "timeout_ms", "min_ttl_ms", "callers"}, get_async}},
    {"start", {{"do", "id", "client", "scope", "timeout_ms", "min_ttl_ms", "callers"}, start}},
    {"cancel", {{"do", "id"}, cancel}},
    {"join", {{"do", "id"}, join}},
    {"invalidate",
     {{"do", "client", "token"},
      [](const json &request) {
        client_of(request).invalidate(request.at("token").get<std::string>());
        return ok;
      }}},
    {"rotate",
     {{"do", "client", "id", "secret"},
      [](const json &request) {
        client_of(request).rotate(request.at("id"), request.at("secret"));
        return ok;
      }}},
    {"wake",
     {{"do", "client"},
      [](const json &request) {
        client_of(request).wake();
        return ok;
      }}},
    {"close",
     {{"do", "client"},
      [](const json &request) {
        client_of(request).close();
        return ok;
      }}},
    {"stats", {{"do", "client", "scope"}, stats}},
    {"may_send_to",
     {{"do", "client", "url"},
      [](const json &request) {
        return json{{"value", client_of(request).may_send_to(request.at("url"))}};
      }}},
    {"advance",
     {{"do", "ms"},
      [](const json &request) {
        tu_test_advance_ms(request.at("ms"));
        return ok;
      }}},
    {"events", {{"do", "client"}, told}},
};

json answer_to(const std::string &line) {
  try {
    const json request = json::parse(line);
    const handler &found = handlers.at(request.at("do"));
    for (const auto &member : request.items())
      if (found.members.count(member.key()) == 0) return unsupported(member.key());
    return found.answer(request);
  } catch (const tu::error &error) {
    return failed(error);
  } catch (const std::exception &error) {
    return unsupported(error.what());
  }
}

}  // namespace

int main() {
  for (std::string line; std::getline(std::cin, line);) std::cout << answer_to(line) << std::endl;
}
