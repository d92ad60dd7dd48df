// The contract of tu_token.hpp beyond tu_token.h. Needs the emulator's TRACKUNIT_* variables.
#include <tu_token.hpp>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <limits>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

#include "../c/check.h"
#include "../c/emulator.h"

using namespace std::chrono_literals;

namespace {

template <class T>
constexpr bool is_move_only = std::is_nothrow_move_constructible_v<T> &&
                              std::is_nothrow_move_assignable_v<T> &&
                              !std::is_copy_constructible_v<T> && !std::is_copy_assignable_v<T>;
static_assert(is_move_only<tu::client> && is_move_only<tu::token> && is_move_only<tu::cancel>);
static_assert(std::is_nothrow_move_constructible_v<tu::config> &&
              !std::is_copy_constructible_v<tu::config>);
static_assert(std::is_nothrow_copy_constructible_v<tu::error>);
static_assert(noexcept(std::declval<const tu::client &>().try_get(
    std::declval<const tu::get_options &>(), std::declval<tu::error &>())));
static_assert(std::is_same_v<decltype(std::declval<tu::token>().value()), std::string_view>);

tu::config environment() { return tu::config{}.load_env(); }

// The error that a call throws; TU_OK if none.
template <class F>
tu::error thrown_by(F &&call) {
  try {
    call();
  } catch (const tu::error &error) {
    return error;
  }
  return {};
}

bool has(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

// Waits, with a bound, for something that another thread does.
class signal {
 public:
  void give() {
    std::lock_guard<std::mutex> lock(mutex_);
    given_ = true;
    changed_.notify_all();
  }
  bool wait() {
    std::unique_lock<std::mutex> lock(mutex_);
    return changed_.wait_for(lock, 10s, [this] { return given_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool given_ = false;
};

void views_of_a_token() {
  tu::client client(environment());
  tu::token token = client.get();
  CHECK(token && !token.value().empty());
  CHECK(token.bearer() == "Bearer " + std::string(token.value()));
  CHECK(token.header() == "Authorization: " + std::string(token.bearer()));
  CHECK(token.header().data()[token.header().size()] == '\0');
  CHECK(token.scope() == "asset.view");
  CHECK(token.expires_in() > 1100s && token.expires_in() <= 1200s);
  CHECK(token.fresh_for() >= 590s && token.fresh_for() <= 900s);
  CHECK(token.expires_at() > std::chrono::system_clock::now());
  CHECK(token.serial() != 0 && client.at_hand() == token.serial());
  CHECK(client.get("asset.view").value() == token.value());
  CHECK(client.get(std::string("asset.view")).value() == token.value());
  CHECK(client.get(std::string_view("asset.viewed").substr(0, 10)).value() == token.value());

  char buffer[2048];
  const std::size_t length = client.copy(buffer, sizeof buffer);
  CHECK(std::string_view(buffer, length) == token.bearer());
  CHECK(thrown_by([&] { client.copy(buffer, 3); }).status() == TU_INVALID_ARGUMENT);

  tu::token moved = std::move(token);
  CHECK(!token && token.value().empty() && token.expires_in() == 0s); // NOLINT: on purpose
  CHECK(moved && moved->scope() == "asset.view");
  client.invalidate(moved);
  tu::token next = client.get();
  CHECK(next.value() != moved.value());
  client.invalidate(std::string(next.bearer()));
  CHECK(client.get().value() != next.value());
}

void what_is_set() {
  using tu::config;
  auto refused = [](config options) { return thrown_by([&] { tu::client client(options); }); };
  CHECK(has(refused(environment().set("scopee", "x")).what(), "did you mean scope?"));
  CHECK(refused(environment().set("timeout", -1)).status() == TU_CONFIG);
  CHECK(has(refused(environment().set("token_url", "http://a.example/")).what(), "plain http"));
  CHECK(refused(config{}.set("scope", "a")).status() == TU_CONFIG);
  const tu::error nul = refused(environment().set("client_secret", std::string_view("a\0b", 3)));
  CHECK(nul.status() == TU_INVALID_ARGUMENT && has(nul.message(), "client_secret holds a NUL"));

  const char *not_set = getenv("NO_SUCH_VARIABLE");
  CHECK(has(refused(environment().set("client_secret", not_set)).what(), "client_secret"));
  config moved = environment();
  config options = std::move(moved);
  CHECK(refused(std::move(moved)).status() == TU_INVALID_ARGUMENT); // NOLINT: on purpose
  // Rounded down it would be zero, which is invalid for a store.
  CHECK(!refused(environment().set("store_timeout", 500us)));

  options.set("keep_warm", false).set("max_requests_per_minute", 30).set("timeout", 2500ms);
  options.set("refresh_before", std::chrono::minutes(5)).set(std::string("name"), "a key");
  tu::client client(options);
  CHECK(bool(client.get()));
  tu::error failure;
  CHECK(!tu::client::make(environment().set("timeout", "soon"), failure));
  CHECK(failure.status() == TU_CONFIG && has(failure.what(), "timeout"));
  CHECK(bool(tu::client::make(environment(), failure)) && !failure);
  CHECK(bool(tu::client::from_env().get()));
}

// Numbers and durations arrive unchanged or are refused; see also tests/header/refused.cpp.
void numbers_and_durations() {
  using std::chrono::duration;
  const auto made_with = [](const char *key, auto value) {
    return thrown_by([&] { tu::client client(environment().set(key, value)); });
  };
  const char *budget = "max_requests_per_minute";
  CHECK(!made_with(budget, std::uint8_t{'0'}) && !made_with(budget, std::int8_t{100}));
  CHECK(!made_with(budget, short{30}) && !made_with(budget, std::uint64_t{1000000}));
  CHECK(made_with(budget, std::int8_t{0}).status() == TU_CONFIG);
  CHECK(made_with(budget, std::numeric_limits<std::uint64_t>::max()).status() == TU_CONFIG);
  CHECK(made_with(budget, std::numeric_limits<long long>::min()).status() == TU_CONFIG);
  CHECK(!made_with("keep_warm", std::vector<char>{}.empty()));

  CHECK(!made_with("timeout", duration<double>(0.25)) && !made_with("timeout", 86400000000000ns));
  CHECK(!made_with("timeout", duration<float, std::milli>(0.5f)) && !made_with("timeout", 0s));
  CHECK(has(made_with("timeout", 86400000000001ns).what(), "24 h"));
  // Rounded towards zero it would be zero: never wait.
  CHECK(made_with("timeout", -1ns).status() == TU_CONFIG);
  CHECK(made_with("timeout", duration<double>(-1e-9)).status() == TU_CONFIG);
  CHECK(has(made_with("timeout", std::chrono::hours::max()).what(), "24 h"));
  CHECK(made_with("timeout", std::chrono::hours::min()).status() == TU_CONFIG);
  CHECK(has(made_with("timeout", duration<double>(1e300)).what(), "24 h"));
  const double no_number = std::numeric_limits<double>::quiet_NaN();
  const tu::error nan = made_with("timeout", duration<double>(no_number));
  CHECK(nan.status() == TU_CONFIG && has(nan.what(), "timeout"));

  tu::client client(environment());
  tu::error failure;
  tu::get_options options;
  options.timeout = std::chrono::hours::max(); // as long as it takes, and no overflow
  CHECK(client.try_get(options, failure) && !failure);
  client.invalidate(client.get());
  options.timeout = 20s + 1ns;
  CHECK(client.try_get(options, failure) && !failure);
  options.min_ttl = std::chrono::seconds::max();
  CHECK(client.try_get(options, failure) && !failure);
  options.min_ttl = -1ns;
  CHECK(!client.try_get(options, failure) && failure.status() == TU_INVALID_ARGUMENT);
  options.min_ttl = {};
  options.timeout = duration<double>(no_number);
  CHECK(!client.try_get(options, failure) && failure.status() == TU_INVALID_ARGUMENT);
}

// Strings of every type arrive whole, or not at all.
void texts() {
  tu::client client(environment());
  const tu::token token = client.get();
  const char *not_set = getenv("NO_SUCH_VARIABLE");
  CHECK(thrown_by([&] { client.rotate(not_set, "secret"); }).status() == TU_INVALID_ARGUMENT);
  CHECK(client.try_rotate("id", not_set).status() == TU_INVALID_ARGUMENT);
  CHECK(client.try_rotate(std::string_view("a\0b", 3), "c").status() == TU_INVALID_ARGUMENT);
  const std::string more = std::string(token.value()) + "more";
  client.invalidate(not_set);
  client.invalidate(more);
  client.invalidate(std::string(token.value()) + std::string("\0", 1));
  CHECK(client.at_hand() == token.serial());
  client.invalidate(std::string_view(more).substr(0, token.value().size()));
  CHECK(client.at_hand() == 0);
  const std::string_view url = "https://iris.trackunit.com.example/";
  CHECK(!client.may_send_to(url) && client.may_send_to(url.substr(0, 26)));
  CHECK(!client.may_send_to(not_set));
  client.api_refused(not_set);
  const tu::error key = thrown_by([&] { tu::client made(environment().set(not_set, "x")); });
  CHECK(key.status() == TU_INVALID_ARGUMENT || key.status() == TU_CONFIG);

  // "Not allowed" differs from "there is no client".
  client.close();
  CHECK(client.may_send_to("https://iris.trackunit.com/x") && !client.may_send_to("https://a.example"));
  CHECK(thrown_by([&] { client.get(); }).status() == TU_CLOSED);
  const tu::client moved = std::move(client);
  CHECK(thrown_by([&] { client.may_send_to("https://iris.trackunit.com/x"); }).status() == // NOLINT
        TU_INVALID_ARGUMENT);
}

void failures() {
  tu::client client(environment());
  const tu::error error = thrown_by([&] { client.get("site.update"); });
  CHECK(error.status() == TU_INVALID_SCOPE && error.oauth_code() == "invalid_scope");
  CHECK(error.http_status() == 400 && !error.retryable() && error.retry_after() > 0ms);
  CHECK(has(error.what(), "site.update") && !error.cause());
  CHECK(tu::status_name(error.status()) == "TU_INVALID_SCOPE");
  // The variables are set, but never loaded.
  CHECK(has(thrown_by([] { tu::client unloaded(tu::config{}); }).what(), "call load_env"));
  CHECK(tu::event_kind_name(TU_EVENT_ROTATED) == "TU_EVENT_ROTATED");
  CHECK(tu::state_name(TU_STATE_SOFT) == "TU_STATE_SOFT");
  try {
    client.get("site.update");
    CHECK(false);
  } catch (const std::exception &base) {
    // The same failure, now remembered.
    CHECK(std::string_view(base.what()).find(error.message()) == 0 && has(base.what(), "(remembered"));
  }
  CHECK(thrown_by([&] { client.get("a\"b"); }).status() == TU_INVALID_ARGUMENT);
  CHECK(thrown_by([&] { client.get(std::string_view("a\0b", 3)); }).status() == TU_INVALID_ARGUMENT);
  CHECK(thrown_by([&] { client.get(std::string("a\0b", 3)); }).status() == TU_INVALID_ARGUMENT);
  CHECK(thrown_by([&] { client.rotate(std::string("a\0b", 3), "c"); }).status() ==
        TU_INVALID_ARGUMENT);
  CHECK(thrown_by([&] { client.rotate("id", ""); }).status() == TU_INVALID_ARGUMENT);
  CHECK(thrown_by([&] { client.stats("a\"b"); }).status() == TU_INVALID_ARGUMENT);
  CHECK(!tu::error() && tu::error().status() == TU_OK && std::string_view(tu::error().what()).empty());

  client.close();
  CHECK(thrown_by([&] { client.get(); }).status() == TU_CLOSED);
  CHECK(client.may_send_to("https://iris.trackunit.com/") && !client.may_send_to("https://evil.example/"));
  tu::client moved = std::move(client);
  CHECK(thrown_by([&] { client.get(); }).status() == TU_INVALID_ARGUMENT); // NOLINT: on purpose
  CHECK(moved && !client);
}

void options_of_a_call() {
  tu::client client(environment());
  tu::error failure;
  tu::get_options options;
  options.scope = "asset.view";
  options.timeout = 5s;
  options.min_ttl = std::chrono::minutes(1);
  tu::token token = client.try_get(options, failure);
  CHECK(token && !failure && token->scope() == "asset.view");
  CHECK(client.get(options).value() == token.value());

  CHECK(set_fault("{\"delay\":\"60s\"}"));
  options.scope = "asset.view  api.iso15143.snapshot";
  options.timeout = tu::no_wait;
  CHECK(!client.try_get(options, failure) && failure.status() == TU_PENDING);
  options.timeout = -2ms; // such as the time left to a deadline
  CHECK(!client.try_get(options, failure) && failure.status() == TU_PENDING);
  options.timeout = 20ms;
  CHECK(!client.try_get(options, failure) && failure.status() == TU_TIMEOUT && failure.retryable());
  options.timeout = std::nullopt;
  tu::cancel cancel;
  options.cancel = &cancel;
  std::thread trigger([&] { cancel.trigger(); });
  CHECK(!client.try_get(options, failure) && failure.status() == TU_CANCELLED);
  trigger.join();
  CHECK(clear_faults());
  options = {};
  options.scope = std::string("a\0b", 3);
  CHECK(!client.try_get(options, failure) && failure.status() == TU_INVALID_ARGUMENT);
  CHECK(client.stats().requests == 1 && client.stats().state == TU_STATE_FRESH);
  CHECK(client.stats(std::string("asset.view")).expires_in > 1000s);
}

void answers_without_waiting() {
  tu::client client(environment());
  signal answered;
  tu::token given;
  // A callable that is move-only and throws.
  client.get_async([&, only = std::make_unique<int>(7)](tu::token token, tu::error error) {
    CHECK(*only == 7 && token && !error);
    given = std::move(token);
    answered.give();
    throw std::runtime_error("no caller to tell");
  });
  CHECK(answered.wait() && given.value() == client.get().value());

  tu::get_options options;
  options.scope = "site.update";
  signal refused;
  client.get_async(options, [&](tu::token token, const tu::error &error) {
    CHECK(!token && error.status() == TU_INVALID_SCOPE);
    refused.give();
  });
  CHECK(refused.wait());
  options.scope = "a\"b";
  CHECK(thrown_by([&] { client.get_async(options, [](tu::token, tu::error) {}); }).status() ==
        TU_INVALID_ARGUMENT);
}

void credentials_from_a_callable() {
  const tu::credentials pair{getenv("TRACKUNIT_CLIENT_ID"), getenv("TRACKUNIT_CLIENT_SECRET")};
  std::atomic<int> calls{0};
  tu::client client(environment().on_credentials([&](bool refused) -> std::optional<tu::credentials> {
    // The first credentials are wrong; told so, the callable returns the right ones.
    if (++calls == 1) return tu::credentials{pair.client_id, "wrong"};
    CHECK(refused);
    return pair;
  }));
  CHECK(client.get().scope() == "asset.view" && calls == 2);

  tu::client without(environment().on_credentials([](bool) { return std::optional<tu::credentials>(); }));
  CHECK(thrown_by([&] { without.get(); }).status() == TU_CREDENTIALS);
  tu::client nul(environment().on_credentials([&](bool) { return tu::credentials{"a", {"\0", 1}}; }));
  CHECK(has(thrown_by([&] { nul.get(); }).what(), "NUL"));
}

void what_a_credentials_callable_throws_reaches_one_caller() {
  tu::client client(environment().on_credentials([](bool) -> tu::credentials {
    throw std::runtime_error("the vault is sealed");
  }));
  std::atomic<int> causes{0}, failed{0};
  std::vector<std::thread> callers;
  for (int i = 0; i < 8; i++) {
    callers.emplace_back([&] {
      tu::error failure;
      client.try_get({}, failure);
      failed += failure.status() == TU_CREDENTIALS && !has(failure.what(), "sealed");
      if (!failure.cause()) return;
      causes++;
      try {
        std::rethrow_exception(failure.cause());
      } catch (const std::runtime_error &found) {
        CHECK(std::string_view(found.what()) == "the vault is sealed");
      }
    });
  }
  for (auto &caller : callers) caller.join();
  CHECK(failed == 8 && causes == 1);
}

void events_are_told() {
  signal succeeded, rotated, dropped;
  struct teller {
    std::shared_ptr<int> held;
    signal *succeeded, *rotated;
    void operator()(const tu::event &event) {
      if (event.kind == TU_EVENT_FETCH_SUCCEEDED) {
        CHECK(event.client == "a key" && event.scope == "asset.view" && event.status == TU_OK);
        CHECK(event.fingerprint.size() == 8 && event.http_status == 200 && !event.message.empty());
        CHECK(event.severity == TU_SEVERITY_INFO);
        succeeded->give();
      }
      if (event.kind == TU_EVENT_ROTATED) rotated->give();
      throw std::runtime_error("no caller to tell");
    }
  };
  std::weak_ptr<int> alive;
  {
    auto held = std::make_shared<int>(1);
    alive = held;
    tu::client client(environment().set("name", "a key").on_event(
        teller{std::move(held), &succeeded, &rotated}));
    client.get();
    client.rotate("other", "pair");
    CHECK(succeeded.wait() && rotated.wait());
    CHECK(!alive.expired());
  }
  for (int i = 0; i < 1000 && !alive.expired(); i++) std::this_thread::sleep_for(10ms);
  CHECK(alive.expired()); // the callable was destroyed with its client
}

void many_threads_one_request() {
  tu::client client(environment());
  std::vector<std::thread> callers;
  std::atomic<int> got{0};
  const long before = requests_to("/token/v2");
  for (int i = 0; i < 64; i++) callers.emplace_back([&] { got += bool(client.get()); });
  for (auto &caller : callers) caller.join();
  CHECK(got == 64 && requests_to("/token/v2") == before + 1);
  client.wake();
  CHECK(client.may_send_to("https://iris.trackunit.com/x") && !client.may_send_to("https://a.example"));
  CHECK(!client.may_send_to(std::string("https://iris.trackunit.com/\0", 28)));
}

}  // namespace

int main() {
  views_of_a_token();
  what_is_set();
  numbers_and_durations();
  texts();
  failures();
  options_of_a_call();
  answers_without_waiting();
  credentials_from_a_callable();
  what_a_credentials_callable_throws_reaches_one_caller();
  events_are_told();
  many_threads_one_request();
  CHECK(tu::version() == "0.1.0");
  return closing_line();
}
