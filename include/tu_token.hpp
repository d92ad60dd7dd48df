/*
 * tu_token.hpp - C++17 interface to tu_token.h: header only; needs only the C library.
 * Not affiliated with Trackunit. SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * THREE LINES MAKE A PROGRAM
 *   tu::client client(tu::config{}.load_env());   // options from TRACKUNIT_* variables
 *   tu::token token = client.get();               // before each request: it is cached
 *   use(token.header());                          // "Authorization: Bearer ..."
 *
 * RULES, in addition to those of tu_token.h
 * - Failures throw tu::error, except from noexcept functions. With -fno-exceptions, a failure in a
 *   throwing function aborts the process with its message: use client::make, try_get and
 *   try_rotate.
 * - Handles are move-only and release what they own. A moved-from handle is empty: its calls fail
 *   with TU_INVALID_ARGUMENT.
 * - Views (std::string_view) live as long as the object they came from.
 * - Threads: every function of a client, token, cancel or error may be called from any thread,
 *   concurrently; a config must not be used by two threads at once. Before destroying a client:
 *   close it and join the threads that use it.
 * - Callables are moved or copied into the library, may run on library threads, and are destroyed
 *   exactly once, after their last call has returned. Exceptions never leave them: one thrown by a
 *   credentials callable becomes the error's cause(), once; one thrown by an event or result
 *   callable is discarded.
 * - Durations may be any std::chrono duration. The library counts whole milliseconds: tu::duration
 *   rounds away from zero (zero has its own meaning) and saturates at the ends of its range.
 * - Values that are no text, number or duration the library can take do not compile.
 */
#ifndef TU_TOKEN_HPP
#define TU_TOKEN_HPP

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <initializer_list>
#include <limits>
#include <memory>
#include <new>
#include <optional>
#include <ratio>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "tu_token.h"

#if defined(__cpp_exceptions) || defined(_CPPUNWIND)
#define TU_TOKEN_TRY try
#define TU_TOKEN_CATCH_ALL catch (...)
#else
#define TU_TOKEN_NO_EXCEPTIONS
#define TU_TOKEN_TRY if (true)
#define TU_TOKEN_CATCH_ALL else
#endif

namespace tu {

#ifdef TU_TOKEN_NO_EXCEPTIONS
// Translation units of one program may differ in this: keep the linker from merging their code.
inline namespace no_exceptions {
#endif

/** For get_options::timeout: do not wait. */
inline constexpr std::chrono::milliseconds no_wait{0};

namespace detail {

/** A NaN duration, which the library refuses. All other values stop one before it. */
inline constexpr std::int64_t no_number = std::numeric_limits<std::int64_t>::min();

/** Rounds away from zero, but ignores binary noise: 2.007 s, slightly more in binary, is 2007 ms. */
template <class Rep, class Period>
constexpr std::int64_t whole_ms(std::chrono::duration<Rep, Period> time) noexcept {
  using in_ms = std::ratio_divide<Period, std::milli>;
  constexpr auto most = std::numeric_limits<std::int64_t>::max();
  // Exact for more than a day, even where long double is double.
  const long double signed_ms = static_cast<long double>(time.count()) * in_ms::num / in_ms::den;
  const bool is_negative = signed_ms < 0;
  const long double ms = is_negative ? -signed_ms : signed_ms;
  std::int64_t whole = most;
  if (!(ms >= 0)) return no_number;
  if (ms < 9.2e18L) {
    whole = static_cast<std::int64_t>(ms);
    const long double rest = ms - static_cast<long double>(whole);
    // The epsilon of integer types is 0.
    const long double noise = ms * static_cast<long double>(std::numeric_limits<Rep>::epsilon());
    if (rest > noise || (whole == 0 && ms > 0)) whole++;
  }
  return is_negative ? -whole : whole;
}

}  // namespace detail

/** Whole milliseconds, converted from any std::chrono duration. */
class duration : public std::chrono::milliseconds {
 public:
  constexpr duration() noexcept : std::chrono::milliseconds(0) {}

  template <class Rep, class Period, std::enable_if_t<std::is_arithmetic_v<Rep>, int> = 0>
  constexpr duration(std::chrono::duration<Rep, Period> time) noexcept
      : std::chrono::milliseconds(detail::whole_ms(time)) {}
};

namespace detail {

inline bool has_nul(std::string_view chars) noexcept {
  return chars.find('\0') != std::string_view::npos;
}

/** Overwrites a string that may hold a secret; volatile keeps the compiler from removing it. */
inline void wipe(std::string &chars) noexcept {
  volatile char *bytes = chars.data();
  for (std::size_t at = 0; at < chars.size(); at++) bytes[at] = 0;
}

}  // namespace detail

/**
 * A text argument: a C string (may be NULL), a std::string, a std::string_view, or a type that
 * converts to one of these. A copy, if one is needed, is wiped.
 */
class text {
 public:
  text(const char *chars) noexcept
      : chars_(chars), size_(chars ? std::string_view(chars).size() : 0) {}
  text(const std::string &chars) noexcept : chars_(chars.c_str()), size_(chars.size()) {}
  text(std::string_view chars) : copy_(chars), chars_(copy_.c_str()), size_(copy_.size()) {}
  template <class T, std::enable_if_t<std::is_class_v<T> &&
                                          (std::is_convertible_v<const T &, std::string> ||
                                           std::is_convertible_v<const T &, std::string_view>),
                                      int> = 0>
  text(const T &chars) : copy_(copy_of(chars)), chars_(copy_.c_str()), size_(copy_.size()) {}
  /** From types that convert to a C string only: that string, which may be NULL. */
  template <class T, std::enable_if_t<std::is_class_v<T> && !std::is_convertible_v<const T &, std::string> &&
                                          !std::is_convertible_v<const T &, std::string_view> &&
                                          std::is_convertible_v<const T &, const char *>,
                                      long> = 0>
  text(const T &chars) : text(static_cast<const char *>(chars)) {}
  text(std::nullptr_t) = delete;
  text(const text &) = delete;
  text &operator=(const text &) = delete;
  ~text() { detail::wipe(copy_); }

  /** NUL-terminated, or NULL. */
  const char *c_str() const noexcept { return chars_; }
  std::string_view view() const noexcept { return {chars_ ? chars_ : "", size_}; }
  /** Whether it contains a NUL, where C would end the string. */
  bool has_nul() const noexcept { return detail::has_nul(view()); }

 private:
  template <class T>
  static std::string copy_of(const T &chars) {
    if constexpr (std::is_convertible_v<const T &, std::string>) {
      return chars;
    } else {
      const std::string_view view = chars;
      return std::string(view);
    }
  }

  std::string copy_;
  const char *chars_;
  std::size_t size_;
};

/** A client id and secret, returned by a credentials callable. */
struct credentials {
  std::string client_id;
  std::string client_secret;
};

/** An event. Valid during the callback only; contains no secret and no token. */
struct event {
  int kind;                           /**< TU_EVENT_*; later versions may add values. */
  tu_status status;                   /**< The failure, or TU_OK. */
  std::string_view client;            /**< The client's `name` option. */
  std::string_view scope;             /**< Canonical; empty if it concerns the whole client. */
  std::string_view message;           /**< One line to show or log. */
  std::string_view fingerprint;       /**< Identifies the token within this process. */
  int http_status;                    /**< 0: none. */
  int attempt;                        /**< From 1; 0: not about an attempt. */
  std::chrono::milliseconds duration; /**< See tu_event. */
  std::optional<std::chrono::milliseconds> wait; /**< Until the next attempt, if known. */
  int severity;                       /**< TU_SEVERITY_*; later versions may add values. */
};

namespace detail {

/** Releases an object of the C API. */
struct release {
  void operator()(void *owned) const noexcept { tu_free(owned); }
};

template <class T>
using owned = std::unique_ptr<T, release>;

/** An exception of a credentials callable, handed to one caller only. */
class thrown {
 public:
  explicit thrown(std::exception_ptr exception) noexcept : exception_(std::move(exception)) {}

  std::exception_ptr take() noexcept {
    return taken_.exchange(true) ? nullptr : exception_;
  }

  static void drop(void *place) { delete static_cast<thrown *>(place); }

 private:
  std::exception_ptr exception_;
  std::atomic<bool> taken_{false};
};

/** The contents of an error, copied so that they outlive every handle. */
struct failure {
  tu_status status;
  std::string message;
  std::string oauth_code;
  int http_status = 0;
  bool is_retryable = false;
  std::optional<std::chrono::milliseconds> retry_after;
  std::exception_ptr cause;
};

inline std::optional<std::chrono::milliseconds> known(std::int64_t ms) noexcept {
  if (ms < 0) return std::nullopt;
  return std::chrono::milliseconds(ms);
}

/** Integer types other than bool, the character types and extended integers. */
template <class T>
inline constexpr bool is_whole_number =
    std::is_integral_v<T> && sizeof(T) <= sizeof(long long) && !std::is_same_v<T, bool> &&
    !std::is_same_v<T, char> && !std::is_same_v<T, wchar_t> && !std::is_same_v<T, char16_t> &&
#ifdef __cpp_char8_t
    !std::is_same_v<T, char8_t> &&
#endif
    !std::is_same_v<T, char32_t>;

template <class T>
using if_number = std::enable_if_t<is_whole_number<T> || std::is_same_v<T, bool>, int>;

/** Types that would convert to a number or a text but are neither. */
template <class T>
using if_something_else =
    std::enable_if_t<(std::is_arithmetic_v<T> || std::is_enum_v<T> || std::is_null_pointer_v<T>) &&
                         !is_whole_number<T> && !std::is_same_v<T, bool>,
                     int>;

template <class F>
void drop(void *place) {
  delete static_cast<F *>(place);
}

}  // namespace detail

/** A failure. Cheap to copy. A default-constructed one is no failure: its status is TU_OK. */
class error : public std::exception {
 public:
  error() noexcept = default;

  /** Takes ownership of an error of the C API and releases it. NULL: no failure. */
  explicit error(tu_error *taken) {
    detail::owned<tu_error> from(taken);
    if (!from) return;
    auto said = std::make_shared<detail::failure>();
    const char *code = tu_error_oauth_code(taken);
    said->status = tu_error_status(taken);
    said->message = tu_error_message(taken);
    said->oauth_code = code ? code : "";
    said->http_status = tu_error_http_status(taken);
    said->is_retryable = tu_error_is_retryable(taken);
    said->retry_after = detail::known(tu_error_retry_after_ms(taken));
    if (auto *cause = static_cast<detail::thrown *>(tu_error_cause(taken)))
      said->cause = cause->take();
    said_ = std::move(said);
  }

  /** A failure detected on the C++ side, such as an argument with a NUL in it. */
  error(tu_status status, std::string message) {
    auto said = std::make_shared<detail::failure>();
    said->status = status;
    said->message = std::move(message);
    said_ = std::move(said);
  }

  /** TU_*; TU_OK: no failure. */
  tu_status status() const noexcept { return said_ ? said_->status : TU_OK; }

  /** One line: what was attempted, what was found, what to do. No secret, no token. */
  const char *what() const noexcept override { return said_ ? said_->message.c_str() : ""; }
  std::string_view message() const noexcept { return what(); }

  /** The token endpoint's error code, such as "invalid_scope" (RFC 6749 section 5.2); empty: none. */
  std::string_view oauth_code() const noexcept {
    return said_ ? std::string_view(said_->oauth_code) : std::string_view();
  }

  /** The HTTP status of the token endpoint's response; 0: no response. */
  int http_status() const noexcept { return said_ ? said_->http_status : 0; }

  /** Whether the same call may succeed later without any change to program or configuration. */
  bool retryable() const noexcept { return said_ && said_->is_retryable; }

  /** Time until the library would send the next token request, if known. */
  std::optional<std::chrono::milliseconds> retry_after() const noexcept {
    return said_ ? said_->retry_after : std::nullopt;
  }

  /** The credentials callable's exception, for one caller of the failed fetch; otherwise null. */
  std::exception_ptr cause() const noexcept { return said_ ? said_->cause : nullptr; }

  /** Whether there is a failure. */
  explicit operator bool() const noexcept { return status() != TU_OK; }

 private:
  std::shared_ptr<const detail::failure> said_;
};

namespace detail {

[[noreturn]] inline void fail(const error &failure) {
#ifdef TU_TOKEN_NO_EXCEPTIONS
  std::fprintf(stderr, "tu_token: %s\n", failure.what());
  std::abort();
#else
  throw failure;
#endif
}

inline void check(tu_error *found) {
  if (found) fail(error(found));
}

inline error nul_in(const char *what) {
  return error(TU_INVALID_ARGUMENT, std::string(what) + " holds a NUL byte");
}

}  // namespace detail

/**
 * An access token, owned by the program: immutable, outlives its client, wiped when destroyed. It
 * is empty if default-constructed, moved from, or returned by a failed try_get: then its views are
 * "".
 */
class token {
 public:
  token() noexcept = default;
  /** Takes ownership of a token of the C API. */
  explicit token(tu_token *taken) noexcept : handle_(taken) {}

  /** The bare access token. */
  std::string_view value() const noexcept { return behind("", tu_token_value(handle())); }

  /** "Bearer <token>": the value of an Authorization header (RFC 6750 section 2.1). */
  std::string_view bearer() const noexcept { return behind("Bearer ", tu_token_bearer(handle())); }

  /** "Authorization: Bearer <token>": a complete header line, NUL-terminated as libcurl expects. */
  std::string_view header() const noexcept {
    return behind("Authorization: Bearer ", tu_token_header(handle()));
  }

  /** The granted scopes, separated by spaces. */
  std::string_view scope() const noexcept { return tu_token_scope(handle()); }

  /** Remaining lifetime, on a clock that includes suspend; zero if expired. */
  std::chrono::milliseconds expires_in() const noexcept {
    return std::chrono::milliseconds(tu_token_expires_in_ms(handle()));
  }

  /** How long a copy may be used without another get. */
  std::chrono::milliseconds fresh_for() const noexcept {
    return std::chrono::milliseconds(tu_token_fresh_for_ms(handle()));
  }

  /** Expiry by the wall clock: for display only, since that clock may be set. */
  std::chrono::system_clock::time_point expires_at() const noexcept {
    return std::chrono::system_clock::time_point(
        std::chrono::milliseconds(tu_token_expires_at_ms(handle())));
  }

  /** Identifies this token among those of its client; see client::at_hand. */
  std::uint64_t serial() const noexcept { return tu_token_serial(handle()); }

  explicit operator bool() const noexcept { return handle_ != nullptr; }
  /** Lets the result of try_get be used like a pointer to a token. */
  const token *operator->() const noexcept { return this; }
  const token &operator*() const noexcept { return *this; }

  /** For the C API; ownership stays here. */
  const tu_token *handle() const noexcept { return handle_.get(); }

 private:
  // The lengths are known, so no strlen.
  std::string_view behind(std::string_view prefix, const char *text) const noexcept {
    return {text, handle_ ? prefix.size() + tu_token_length(handle()) : 0};
  }

  detail::owned<tu_token> handle_;
};

/** Cancels waits. One-shot; may be shared by any number of calls and threads. */
class cancel {
 public:
  cancel() : handle_(tu_cancel_new()) {}

  /** Makes every current and future call that uses this fail with TU_CANCELLED. */
  void trigger() noexcept { tu_cancel_trigger(handle_.get()); }

  tu_cancel *handle() const noexcept { return handle_.get(); }

 private:
  detail::owned<tu_cancel> handle_;
};

/** Options of one get. */
struct get_options {
  /** Space-separated scopes; unset: the client's `scope` option. */
  std::optional<std::string> scope{};
  /** Longest wait; unset: the client's `timeout`; zero (tu::no_wait) or less: do not wait. */
  std::optional<duration> timeout{};
  /** Least remaining lifetime wanted; best effort. */
  duration min_ttl{};
  /** Cancels the wait. Must live until the call has returned. */
  const tu::cancel *cancel = nullptr;
};

/** State and counters of the cache entry for one scope; see tu_stats. Cache hits are not counted. */
struct stats {
  int state;             /**< TU_STATE_*. */
  tu_status last_status; /**< Result of the last fetch. */
  std::chrono::milliseconds expires_in, next_request_in, last_fetch;
  std::uint64_t waits, requests, renewals, failures;
};

/**
 * Options of a client. Setting never fails: the first mistake is reported when the client is
 * created. Values set here take precedence over the environment, regardless of order.
 */
class config {
 public:
  config() : handle_(tu_config_new()) {}

  /**
   * Sets an option of the table by its key. A NULL C string (from getenv, say) is reported as a
   * mistake.
   */
  config &set(const text &key, const text &value) & {
    if (key.has_nul()) {
      remember("an option's key");
    } else if (value.has_nul()) {
      remember("option " + std::string(key.view()));
    } else {
      tu_config_set(handle_.get(), key.c_str(), value.c_str());
    }
    return *this;
  }

  /** Sets an option to a bool or an integer of any width. */
  template <class T, detail::if_number<T> = 0>
  config &set(const text &key, T value) & {
    if constexpr (std::is_same_v<T, bool>) {
      return set(key, text(value ? "true" : "false"));
    } else {
      return set(key, text(std::to_string(value)));
    }
  }

  /** Sets an option to a duration. */
  config &set(const text &key, duration value) & {
    const bool is_number = value.count() != detail::no_number;
    return set(key, text(is_number ? std::to_string(value.count()) + "ms" : std::string("nan")));
  }

  /**
   * No option takes a character, an enumerator, nullptr, or a floating-point number. (Compilers see
   * the macro NULL as the number 0; nullptr is refused.)
   */
  template <class T, detail::if_something_else<T> = 0>
  config &set(const text &key, T value) & = delete;

  /** Reads every environment variable TRACKUNIT_<KEY> that is set and not empty at this moment. */
  config &load_env() & {
    tu_config_load_env(handle_.get());
    return *this;
  }

  /**
   * Sets the callable that supplies the credentials before each token request. Its argument says
   * whether the last credentials were refused; it returns tu::credentials or an std::optional of
   * them. It must not wait for a token of its own client. Its running time does not count against
   * fetch_timeout; callers wait for it no longer than their own timeout. It may run on several
   * threads at once: see tu_credentials_fn.
   */
  template <class F>
  config &on_credentials(F &&callable) & {
    using function = std::decay_t<F>;
    static_assert(std::is_invocable_r_v<std::optional<credentials>, function &, bool>,
                  "a credentials callable takes a bool and returns (optional) tu::credentials");
    tu_config_on_credentials(handle_.get(), give_credentials<function>,
                             new function(std::forward<F>(callable)), detail::drop<function>);
    return *this;
  }

  /** Sets the callable that receives events: on one library thread, one event at a time. */
  template <class F>
  config &on_event(F &&callable) & {
    using function = std::decay_t<F>;
    static_assert(std::is_invocable_v<function &, const event &>,
                  "an event callable takes a const tu::event &");
    tu_config_on_event(handle_.get(), tell_event<function>,
                       new function(std::forward<F>(callable)), detail::drop<function>);
    return *this;
  }

  /* The same on a temporary, so that config{}.set(...).load_env() can be moved from. */
  config &&set(const text &key, const text &value) && { return std::move(set(key, value)); }
  template <class T, detail::if_number<T> = 0>
  config &&set(const text &key, T value) && {
    return std::move(set(key, value));
  }
  config &&set(const text &key, duration value) && { return std::move(set(key, value)); }
  template <class T, detail::if_something_else<T> = 0>
  config &&set(const text &key, T value) && = delete;
  config &&load_env() && { return std::move(load_env()); }
  template <class F>
  config &&on_credentials(F &&callable) && {
    return std::move(on_credentials(std::forward<F>(callable)));
  }
  template <class F>
  config &&on_event(F &&callable) && {
    return std::move(on_event(std::forward<F>(callable)));
  }

  const tu_config *handle() const noexcept { return handle_.get(); }

  /** The first mistake that could not be passed to the C API. */
  const error &mistake() const noexcept { return mistake_; }

 private:
  void remember(const std::string &what) {
    if (!mistake_) mistake_ = detail::nul_in(what.c_str());
  }

  template <class F>
  static bool give_credentials(void *callable, bool refused, tu_credentials *out) {
    TU_TOKEN_TRY {
      std::optional<credentials> pair = (*static_cast<F *>(callable))(refused);
      if (!pair) return false;
      if (detail::has_nul(pair->client_id) || detail::has_nul(pair->client_secret)) {
        tu_credentials_fail(out, "the client id or secret contains a NUL byte", nullptr, nullptr);
        return false;
      }
      tu_credentials_set(out, pair->client_id.c_str(), pair->client_secret.c_str());
      detail::wipe(pair->client_secret);
      return true;
    }
    TU_TOKEN_CATCH_ALL {
      auto *cause = new (std::nothrow) detail::thrown(std::current_exception());
      tu_credentials_fail(out, nullptr, cause, detail::thrown::drop);
      return false;
    }
  }

  template <class F>
  static void tell_event(void *callable, const tu_event *from) {
    const event told{from->kind,
                     from->status,
                     from->client,
                     from->scope,
                     from->message,
                     from->fingerprint,
                     from->http_status,
                     from->attempt,
                     std::chrono::milliseconds(from->duration_ms),
                     detail::known(from->wait_ms),
                     from->severity};
    TU_TOKEN_TRY { (*static_cast<F *>(callable))(told); }
    TU_TOKEN_CATCH_ALL {}
  }

  detail::owned<tu_config> handle_;
  error mistake_;
};

/** Fetches, caches and hands out the tokens of one API key. */
class client {
 public:
  /** Copies the options. Makes no request. Throws TU_CONFIG or TU_INVALID_ARGUMENT. */
  explicit client(const config &options) {
    error failure;
    *this = make(options, failure);
    if (failure) detail::fail(failure);
  }

  /** Creates a client with all options from TRACKUNIT_* variables. */
  static client from_env() { return client(config{}.load_env()); }

  /** Like the constructor; on failure sets `failure` and returns an empty client. */
  static client make(const config &options, error &failure) noexcept {
    failure = options.mistake();
    // The C API would read a NULL config as "all options from the environment".
    if (!options.handle()) failure = error(TU_INVALID_ARGUMENT, "the config was moved from");
    if (failure) return client(static_cast<tu_client *>(nullptr));
    tu_error *found = nullptr;
    client made(tu_client_new(options.handle(), &found));
    failure = error(found);
    return made;
  }

  /** Takes ownership of a client of the C API. */
  explicit client(tu_client *taken) noexcept : handle_(taken) {}

  /** Returns a valid token for the client's `scope` option. Waits at most the client's `timeout`. */
  token get() const { return get(static_cast<const char *>(nullptr)); }

  /** Returns a valid token for other scopes, separated by spaces. */
  token get(const char *scope) const {
    tu_error *found = nullptr;
    token made(tu_token_get(handle(), scope, &found));
    detail::check(found);
    return made;
  }
  token get(const std::string &scope) const {
    if (detail::has_nul(scope)) detail::fail(detail::nul_in("the scope"));
    return get(scope.c_str());
  }
  token get(std::string_view scope) const { return get(std::string(scope)); }
  /** Deleted: two C strings would be read as begin and end of one. Put all scopes in one string. */
  token get(std::initializer_list<std::string_view> scopes) const = delete;
  template <class T, std::enable_if_t<std::is_arithmetic_v<T> || std::is_enum_v<T>, int> = 0>
  token get(T scope) const = delete;

  /** Returns a valid token, with options. */
  token get(const get_options &options) const {
    error failure;
    token made = try_get(options, failure);
    if (failure) detail::fail(failure);
    return made;
  }

  /** Like get; on failure sets `failure` and returns an empty token. */
  token try_get(const get_options &options, error &failure) const noexcept {
    if (options.scope && detail::has_nul(*options.scope)) {
      failure = detail::nul_in("the scope");
      return token();
    }
    const tu_get_options plain = in_c(options);
    tu_error *found = nullptr;
    token made(tu_token_get_with(handle(), &plain, &found));
    failure = error(found);
    return made;
  }

  /**
   * Copies "Bearer <token>" into `buffer`, with a NUL after it if there is room, and returns its
   * length. Does not allocate if the token is cached. Wiping the buffer is up to you.
   */
  std::size_t copy(char *buffer, std::size_t capacity, const char *scope = nullptr) const {
    std::size_t length = 0;
    tu_error *found = nullptr;
    tu_token_copy(handle(), scope, buffer, capacity, &length, &found);
    detail::check(found);
    return length;
  }

  /**
   * Requests a token without blocking. Calls the callable exactly once with (tu::token, tu::error),
   * one of them empty: before this returns if the result is known, otherwise on a library thread.
   * It should return quickly.
   */
  template <class F>
  void get_async(const get_options &options, F &&callable) const {
    using function = std::decay_t<F>;
    static_assert(std::is_invocable_v<function &, token, error>,
                  "a result callable takes (tu::token, tu::error)");
    if (options.scope && detail::has_nul(*options.scope))
      detail::fail(detail::nul_in("the scope"));
    const tu_get_options plain = in_c(options);
    tu_error *found = nullptr;
    tu_token_get_async(handle(), &plain, answer<function>, new function(std::forward<F>(callable)),
                       detail::drop<function>, &found);
    detail::check(found);
  }
  template <class F>
  void get_async(F &&callable) const {
    get_async(get_options{}, std::forward<F>(callable));
  }

  /** Replaces the client id and secret from the next token request on. Cached tokens stay in use. */
  void rotate(const text &client_id, const text &client_secret) {
    const error failure = try_rotate(client_id, client_secret);
    if (failure) detail::fail(failure);
  }

  /** Like rotate; returns the failure, if any. */
  error try_rotate(const text &client_id, const text &client_secret) noexcept {
    if (client_id.has_nul()) return detail::nul_in("client_id");
    if (client_secret.has_nul()) return detail::nul_in("client_secret");
    tu_error *found = nullptr;
    tu_client_rotate(handle(), client_id.c_str(), client_secret.c_str(), &found);
    return error(found);
  }

  /** Reports that an API answered 401 to this token: it will not be served again. */
  void invalidate(const token &refused) noexcept { tu_client_invalidate(handle(), refused.handle()); }

  /** The same for a token given as text: bare or as "Bearer <token>". */
  void invalidate(const text &refused) noexcept {
    // A string with a NUL is no token; C would see only the part before it.
    if (!refused.has_nul()) tu_client_invalidate_value(handle(), refused.c_str());
  }

  /** Reports a 401 from this URL for the repeated request too: emits an event, once per host. */
  void api_refused(const text &url) noexcept {
    if (!url.has_nul()) tu_client_api_refused(handle(), url.c_str());
  }

  /**
   * Whether a token may be sent to this URL; check again after each redirect. Works on a closed
   * client (whose get then fails); throws on an empty one.
   */
  bool may_send_to(const text &url) const {
    if (!handle()) detail::fail(error(TU_INVALID_ARGUMENT, "the client is empty: it was moved from"));
    return !url.has_nul() && tu_client_may_send_to(handle(), url.c_str());
  }

  /** Serial of the token that get would return now from the cache, without a renewal; 0: none. */
  std::uint64_t at_hand(const char *scope = nullptr) const noexcept {
    return tu_token_at_hand(handle(), scope);
  }

  /** Reports that the network is back: ends the backoff after failures. */
  void wake() noexcept { tu_client_wake(handle()); }

  /** State and counters of the cache entry for a scope; NULL: the client's `scope` option. */
  tu::stats stats(const char *scope = nullptr) const {
    tu_stats plain{};
    plain.struct_size = sizeof plain;
    tu_error *found = nullptr;
    tu_client_stats(handle(), scope, &plain, &found);
    detail::check(found);
    return {plain.state,
            plain.last_status,
            std::chrono::milliseconds(plain.expires_in_ms),
            std::chrono::milliseconds(plain.next_request_in_ms),
            std::chrono::milliseconds(plain.last_fetch_ms),
            plain.waits,
            plain.requests,
            plain.renewals,
            plain.failures};
  }

  tu::stats stats(const std::string &scope) const {
    if (detail::has_nul(scope)) detail::fail(detail::nul_in("the scope"));
    return stats(scope.c_str());
  }
  tu::stats stats(std::initializer_list<std::string_view> scopes) const = delete;

  /** Closes the client: waiting and later calls fail with TU_CLOSED. Never blocks. */
  void close() noexcept { tu_client_close(handle()); }

  explicit operator bool() const noexcept { return handle_ != nullptr; }

  tu_client *handle() const noexcept { return handle_.get(); }

 private:
  static tu_get_options in_c(const get_options &options) noexcept {
    tu_get_options plain = TU_GET_OPTIONS_INIT;
    plain.scope = options.scope ? options.scope->c_str() : nullptr;
    if (options.timeout) {
      // Zero means "do not wait" here but "the client's timeout" in C. Negative durations, such as
      // the time left to a deadline that has passed, do not wait either.
      const auto wait = options.timeout->count();
      plain.timeout_ms = wait > 0 || wait == detail::no_number ? wait : TU_NO_WAIT;
    }
    plain.min_ttl_ms = options.min_ttl.count();
    plain.cancel = options.cancel ? options.cancel->handle() : nullptr;
    return plain;
  }

  template <class F>
  static void answer(void *callable, tu_token *made, tu_error *found) {
    TU_TOKEN_TRY { (*static_cast<F *>(callable))(token(made), error(found)); }
    TU_TOKEN_CATCH_ALL {}
  }

  detail::owned<tu_client> handle_;
};

/** The name of a status, such as "TU_INVALID_CLIENT"; "TU_UNKNOWN" for any other number. */
inline std::string_view status_name(tu_status status) noexcept { return tu_status_name(status); }

/** The name of an event's kind, such as "TU_EVENT_ROTATED"; "TU_UNKNOWN" for any other number. */
inline std::string_view event_kind_name(int kind) noexcept { return tu_event_kind_name(kind); }

/** The name of a state, such as "TU_STATE_FRESH"; "TU_UNKNOWN" for any other number. */
inline std::string_view state_name(int state) noexcept { return tu_state_name(state); }

/** Version of the loaded library, such as "0.1.0". */
inline std::string_view version() noexcept { return tu_version(); }

#ifdef TU_TOKEN_NO_EXCEPTIONS
}  // inline namespace no_exceptions
#endif

}  // namespace tu

#undef TU_TOKEN_NO_EXCEPTIONS
#undef TU_TOKEN_TRY
#undef TU_TOKEN_CATCH_ALL

#endif
