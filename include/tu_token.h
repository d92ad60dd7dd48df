/*
 * tu_token.h - access tokens for Trackunit's IRIS APIs: fetched once, cached, shared.
 * Not affiliated with Trackunit. SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * THREE CALLS MAKE A PROGRAM
 *   tu_client *client = tu_client_new(NULL, &error);         options from TRACKUNIT_* variables
 *   tu_token  *token  = tu_token_get(client, NULL, &error);  before each request: it is cached
 *   tu_free(token); tu_free(client);
 *
 * GENERAL RULES
 * - Ownership: release every object that a function returns to you with tu_free, whatever its type.
 *   tu_free(NULL) does nothing.
 * - Errors: a function that can fail returns NULL or a status other than TU_OK and, if `error` is
 *   not NULL, sets *error to an error object that you own. On success it sets *error to NULL. There
 *   is no "last error" state.
 * - Configuration: tu_config_set cannot fail; tu_client_new reports the first mistake.
 * - Strings passed in are NUL-terminated UTF-8 and are copied before the call returns. Strings
 *   returned are NUL-terminated and belong to the object they came from.
 * - NULL handles yield TU_INVALID_ARGUMENT or a neutral value, never a crash.
 * - Threads: every function may be called from any thread, concurrently, on the same client, token,
 *   cancel or error. A tu_config must not be used by two threads at once. To release a client:
 *   close, join, free. No call on it may start once tu_free has been called; calls already waiting
 *   return TU_CLOSED, as after tu_client_close.
 * - fork: a child may use an inherited client immediately; it keeps the valid token. Pending waits
 *   and cancels are not carried over. fork() sleeps for at most 50 ms while threads are inside the
 *   library; if that is not enough, the child starts without tokens and never drops what the
 *   parent's callers and callbacks hold. After _Fork or clone, do not use the library before exec.
 * - Signal handlers must not call the library. They may fork, as far as the C library permits, even
 *   if they interrupted a library call: the call continues in parent and child, and a wait restarts
 *   in the child. A child that exits inside the handler may use the library there.
 * - Callbacks are given as (function, user_data, drop). `drop` runs exactly once, after the last
 *   call of the function has returned, also if setting the callback failed; on any thread, possibly
 *   after tu_free. Callbacks run with no library lock held: they may call the library, close their
 *   client and, if no other call still uses it, free it. A callback that blocks delays what depends
 *   on it (a credentials function its fetch, an event function later events, an asynchronous result
 *   other results), but never a caller beyond its timeout. An exception that leaves a callback
 *   terminates the process; do not longjmp out of one.
 * - A fork child inherits callbacks: they are called in both processes, and `drop` runs once in
 *   each. Asynchronous results pending in the parent are dropped in the child, not delivered. If a
 *   callback forks, end the child inside it (exec, _exit): the code that follows is the parent's.
 * - Time: expiry is measured on a clock that includes suspend; setting the wall clock does not
 *   affect cached tokens.
 * - Secrets: secrets and tokens are wiped when dropped and never appear in an error, event or log.
 *   Wiping the strings you pass in and the copies you make is up to you.
 * - Panics are contained and reported as TU_INTERNAL. If the system refuses a new thread (because of
 *   ulimit -u, say), the status is TU_INTERNAL too, but retryable: nothing is lost or remembered,
 *   and a valid token is still served. Out of memory terminates the process.
 * - Compatibility: new options are new keys; structs begin with struct_size and members are only
 *   appended; status numbers are never reused.
 */


#ifndef TU_TOKEN_H
#define TU_TOKEN_H

/* Generated from src/ffi by `make header`; changes belong there. */


#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Result of a call. Functions that take a status accept any int32_t. */
typedef int32_t tu_status;

enum {
  TU_OK = 0,
  /** NULL, bad UTF-8, bad scope characters, bad struct. */
  TU_INVALID_ARGUMENT = 1,
  /** Unknown key, bad value, missing or contradictory options, unreadable file. */
  TU_CONFIG = 2,
  /** The client was closed. */
  TU_CLOSED = 3,
  /** This caller's wait timed out; the fetch continues. */
  TU_TIMEOUT = 100,
  /** This caller's wait was cancelled; the fetch continues. */
  TU_CANCELLED = 101,
  /** TU_NO_WAIT and no valid token yet; a fetch has been started. */
  TU_PENDING = 102,
  /** Name resolution, connect, connection reset, or a network timeout. */
  TU_NETWORK = 200,
  /** Certificate, host name, or no trust store. */
  TU_TLS = 201,
  /** The client id or secret is not available (file, callback). */
  TU_CREDENTIALS = 202,
  /** The proxy refused: the login (407, not retryable) or the request (403). */
  TU_PROXY = 203,
  /** The endpoint refused the client id and secret: invalid_client, unauthorized_client, or 401
   *  without an OAuth error. */
  TU_INVALID_CLIENT = 300,
  /** The endpoint refused the scope, or granted less than requested. */
  TU_INVALID_SCOPE = 301,
  /** Another OAuth error; see tu_error_oauth_code. */
  TU_OAUTH = 302,
  /** 429, or a Retry-After that has not passed yet. */
  TU_RATE_LIMITED = 303,
  /** 5xx. */
  TU_SERVER = 304,
  /** A response that is not a token, or a redirect. */
  TU_BAD_RESPONSE = 305,
  /** The client's own limit on token requests per minute. */
  TU_BUDGET = 400,
  /** A contained bug in the library; if retryable, a thread could not be started. */
  TU_INTERNAL = 900
};

/** tu_stats.state: the state of the cached token. Names: tu_state_name. */
enum {
  /** No token: none fetched yet, or the last one was invalidated. */
  TU_STATE_EMPTY = 0,
  /** Served immediately; no renewal starts. */
  TU_STATE_FRESH = 1,
  /** Served immediately, while one fetch renews it in the background. */
  TU_STATE_SOFT = 2,
  /** About to expire: callers wait a limited time for the new token. */
  TU_STATE_HARD = 3,
  /** Expired; never served. */
  TU_STATE_EXPIRED = 4
};

/** tu_event.kind. Names: tu_event_kind_name. */
enum {
  /** A fetch started. */
  TU_EVENT_FETCH_STARTED = 1,
  /** A fetch obtained a token; duration_ms is how long it took. */
  TU_EVENT_FETCH_SUCCEEDED = 2,
  /** An attempt of a fetch failed: see status and attempt; wait_ms is the time to the next one. */
  TU_EVENT_FETCH_FAILED = 3,
  /** A valid token was served although its renewal failed. */
  TU_EVENT_SERVED_WHILE_FAILING = 4,
  /** A token that an API refused was dropped. */
  TU_EVENT_INVALIDATED = 5,
  /** The client id and secret changed. */
  TU_EVENT_ROTATED = 6,
  /** The token store had a token, had none, or failed (see status). */
  TU_EVENT_STORE = 7,
  /** The machine was suspended, or its wall clock was set. */
  TU_EVENT_CLOCK = 8,
  /** The process forked and the client is now used in the child. */
  TU_EVENT_FORK = 9,
  /** The client's own limit on token requests per minute was reached. */
  TU_EVENT_BUDGET = 10,
  /** Something unexpected that needs attention; see message. */
  TU_EVENT_WARNING = 11
};

/** tu_event.severity. */
enum {
  /** Routine: a fetch started, a store had a token or none. */
  TU_SEVERITY_DEBUG = 1,
  /** Normal operation. */
  TU_SEVERITY_INFO = 2,
  /** A failure, or something that needs attention. */
  TU_SEVERITY_WARNING = 3
};

/** The version of this header as 0xXXYYZZ; compare with tu_version_number(). */
#define TU_VERSION_NUMBER \
  (TU_VERSION_MAJOR * 0x10000u + TU_VERSION_MINOR * 0x100u + TU_VERSION_PATCH)
/** Whether this header is version x.y.z or later; usable in #if. */
#define TU_VERSION_AT_LEAST(x, y, z) (TU_VERSION_NUMBER >= ((x) * 0x10000u + (y) * 0x100u + (z)))

/** For tu_get_options.timeout_ms: do not wait. */
#define TU_NO_WAIT (-1)

/** Initializer of a tu_get_options. */
#define TU_GET_OPTIONS_INIT { sizeof(tu_get_options), NULL, 0, 0, NULL }


/**
 * Version of this header.
 */
#define TU_VERSION_MAJOR 0

/**
 * See TU_VERSION_MAJOR.
 */
#define TU_VERSION_MINOR 1

/**
 * See TU_VERSION_MAJOR.
 */
#define TU_VERSION_PATCH 0

/**
 * Cancels waits. One-shot; may be shared by any number of calls and threads; may be freed once the
 * calls that used it have returned. Not carried over a fork.
 */
typedef struct tu_cancel tu_cancel;

/**
 * Fetches, caches and hands out the tokens of one API key. May be used by any number of threads
 * concurrently, and in a fork child. Release it with tu_free.
 */
typedef struct tu_client tu_client;

/**
 * Options for tu_client_new, which copies them: the config may be changed or released right after.
 * Must not be used by two threads at once. Release it with tu_free.
 */
typedef struct tu_config tu_config;

/**
 * Receives the result of a credentials function: a client id and secret, or the reason there are
 * none. Valid during that call only.
 */
typedef struct tu_credentials tu_credentials;

/**
 * The reason a call failed. Immutable; may be read from any thread; outlives its client. Its
 * strings live as long as it does. Release it with tu_free.
 */
typedef struct tu_error tu_error;

/**
 * An access token, owned by the caller. Immutable; may be read from any thread; outlives its
 * client. Its strings live as long as it does. Release it with tu_free, which wipes it.
 */
typedef struct tu_token tu_token;

/**
 * Supplies the client id and secret, with tu_credentials_set, before each token request.
 * `refused`: the endpoint refused the last ones. Return false, or set nothing, if none are
 * available: the fetch fails with TU_CREDENTIALS; tu_credentials_fail gives the reason. The
 * function must not wait for a token of its own client (such a call fails with
 * TU_INVALID_ARGUMENT).
 *
 * Runs on a library thread reserved for this purpose, at most eight at a time per process. All
 * fetches of the client that need credentials during the call share its result. Its running time
 * does not count against fetch_timeout: callers wait for it no longer than their own timeout (the
 * message of TU_TIMEOUT says so), and a valid token is served meanwhile. A call that has not
 * returned after 10 s may be hung: the function is called again on another thread, four times in
 * all, and the first result is used. It may therefore run on several threads at once.
 */
typedef bool (*tu_credentials_fn)(void *user_data, bool refused, struct tu_credentials *out);

/**
 * Releases `user_data`. Called exactly once, on any thread, after the last call of the function it
 * belongs to has returned; also if setting that function failed.
 */
typedef void (*tu_drop_fn)(void *user_data);

/**
 * An event. Valid during the callback only; strings are never NULL ("" means none). Contains no
 * secret and no token.
 */
typedef struct tu_event {
  /**
   * Size of this struct in the library that is loaded.
   */
  size_t struct_size;
  /**
   * TU_EVENT_*, see tu_event_kind_name; later versions may add values.
   */
  int32_t kind;
  /**
   * The failure, or TU_OK.
   */
  tu_status status;
  /**
   * The client's `name` option.
   */
  const char *client;
  /**
   * Canonical scope; "" if the event concerns the whole client.
   */
  const char *scope;
  /**
   * One line to show or log.
   */
  const char *message;
  /**
   * Eight hex digits that identify the token within this process.
   */
  const char *fingerprint;
  /**
   * HTTP status of the token endpoint's response; 0: none.
   */
  int32_t http_status;
  /**
   * Number of the attempt within its fetch, from 1; 0: not about an attempt.
   */
  int32_t attempt;
  /**
   * FETCH_FAILED: duration of that attempt; FETCH_SUCCEEDED: of the whole fetch, with failed
   * attempts and backoff; STORE: of the fetch so far; CLOCK: size of the jump. Otherwise 0.
   */
  int64_t duration_ms;
  /**
   * Time until the next attempt; -1: unknown.
   */
  int64_t wait_ms;
  /**
   * TU_SEVERITY_*; later versions may add values. (Libraries without this member report a
   * smaller struct_size.)
   */
  int32_t severity;
} tu_event;

/**
 * Receives events; see tu_config_on_event. While it blocks, the events of all clients in the
 * process are queued, up to 1,024 per client; fetches and callers are not delayed.
 */
typedef void (*tu_event_fn)(void *user_data, const struct tu_event *event);

/**
 * Options of one get. Initialize with TU_GET_OPTIONS_INIT; zero in every member after struct_size
 * is the default.
 */
typedef struct tu_get_options {
  /**
   * sizeof(tu_get_options).
   */
  size_t struct_size;
  /**
   * Space-separated scopes; NULL: the client's `scope` option.
   */
  const char *scope;
  /**
   * Longest wait in milliseconds; 0: the client's `timeout`; TU_NO_WAIT: do not wait.
   */
  int64_t timeout_ms;
  /**
   * Least remaining lifetime wanted, in milliseconds; best effort.
   */
  int64_t min_ttl_ms;
  /**
   * Cancels the wait; NULL: not cancellable.
   */
  struct tu_cancel *cancel;
} tu_get_options;

/**
 * Receives a token or an error, exactly one of them not NULL, and owns it (tu_free). Should return
 * quickly: the library has few threads for these calls.
 */
typedef void (*tu_token_fn)(void *user_data, struct tu_token *token, struct tu_error *error);

/**
 * State and counters of the cache entry for one scope. Cache hits are not counted.
 */
typedef struct tu_stats {
  /**
   * Set by the caller to sizeof(tu_stats); the library writes no more than that.
   */
  size_t struct_size;
  /**
   * TU_STATE_*, see tu_state_name.
   */
  int32_t state;
  /**
   * Result of the last fetch.
   */
  tu_status last_status;
  /**
   * Remaining lifetime of the cached token.
   */
  int64_t expires_in_ms;
  /**
   * Time until the next token request is allowed; 0: now.
   */
  int64_t next_request_in_ms;
  /**
   * Duration of the last fetch.
   */
  int64_t last_fetch_ms;
  /**
   * Calls that waited for a fetch.
   */
  uint64_t waits;
  /**
   * Token requests sent.
   */
  uint64_t requests;
  /**
   * Tokens received while the previous one was still valid.
   */
  uint64_t renewals;
  /**
   * Failed fetches.
   */
  uint64_t failures;
} tu_stats;

/**
 * Where a wrapper that keeps its own copies of tokens reads, without a call, whether a copy is
 * still the token of a scope: see tu_token_watch. All of these are changed by other threads: read
 * them atomically (acquire).
 */
typedef struct tu_watch {
  /**
   * Set by the caller to sizeof(tu_watch).
   */
  size_t struct_size;
  /**
   * Until when the token may be handed out, in nanoseconds of CLOCK_BOOTTIME.
   */
  const uint64_t *until;
  /**
   * Changes when the token does. It may change without the token, too.
   */
  const uint64_t *version;
  /**
   * false: the library has to know that the token is in use.
   */
  const bool *asked;
  /**
   * The number of forks that led to this process.
   */
  const uint32_t *forks;
  /**
   * To be added to the clock; NULL: nothing. Only in a library whose clock is controlled by
   * tests.
   */
  const uint64_t *clock_offset;
  /**
   * The address of a function of the kernel that does what clock_gettime does, for callers that
   * cannot call the C library (its name in vdso(7): __vdso_clock_gettime); 0: there is none, or
   * the program has replaced clock_gettime.
   */
  size_t clock;
} tu_watch;





#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * Creates a cancel, not yet triggered. Release it with tu_free.
 */
struct tu_cancel *tu_cancel_new(void);

/**
 * Makes every current and future call that uses this cancel return TU_CANCELLED. The fetches those
 * calls waited for continue. NULL does nothing.
 *
 * Requires:
 * `cancel` is NULL or a live handle.
 */
void tu_cancel_trigger(struct tu_cancel *cancel);

/**
 * Creates a client from a copy of `config`; NULL: all options from the environment. Makes no
 * request and reads only the files that the options name. Returns NULL on the first mistake in the
 * options: TU_CONFIG or TU_INVALID_ARGUMENT. A missing `scope` is no mistake here: each get must
 * then name one, or fails. Release it with tu_free.
 *
 * Requires:
 * `config` is NULL or a live handle, `error` NULL or valid to write to. As with getenv, no other
 * thread may change the environment during the call.
 */
struct tu_client *tu_client_new(const struct tu_config *config, struct tu_error **error);

/**
 * Replaces the client id and secret, whatever their previous source (values, files or function),
 * from the next token request on. Both are copied. Cached tokens stay in use; a remembered refusal
 * is forgotten.
 *
 * Requires:
 * `client` is NULL or a live handle, the strings NULL or NUL-terminated, `error` NULL or valid to
 * write to.
 */
tu_status tu_client_rotate(struct tu_client *client,
                           const char *client_id,
                           const char *client_secret,
                           struct tu_error **error);

/**
 * Reports that an API answered 401 to this token: it will not be served again. No effect if a
 * newer token is already cached. Do not call this after 403 or 429. NULL does nothing.
 *
 * Requires:
 * `client` and `token` are NULL or live handles.
 */
void tu_client_invalidate(struct tu_client *client, const struct tu_token *token);

/**
 * Like tu_client_invalidate, for a token given as text: bare or as "Bearer <token>".
 *
 * Requires:
 * `client` is NULL or a live handle, `token` NULL or NUL-terminated.
 */
void tu_client_invalidate_value(struct tu_client *client, const char *token);

/**
 * Whether a token may be sent to this URL: https to a host in the option `api_hosts`, or loopback
 * over http or https. For programs that attach tokens to requests themselves; check again after
 * each redirect.
 *
 * Requires:
 * `client` is NULL or a live handle, `url` NULL or NUL-terminated.
 */
bool tu_client_may_send_to(const struct tu_client *client, const char *url);

/**
 * Reports that the API at this URL also answered 401 to the token fetched after the invalidation.
 * Only emits an event, once per host, saying that the API may not accept API Tokens v2 yet.
 *
 * Requires:
 * `client` is NULL or a live handle, `url` NULL or NUL-terminated.
 */
void tu_client_api_refused(struct tu_client *client, const char *url);

/**
 * Reports that the network is back: ends the backoff after failures, immediately for waiting
 * callers and within 5 s (random) for background renewals. A Retry-After from the server still
 * holds. A login that the proxy refused is retried at most once in 10 minutes.
 *
 * Requires:
 * `client` is NULL or a live handle.
 */
void tu_client_wake(struct tu_client *client);

/**
 * Closes the client: waiting calls return TU_CLOSED, and so do later ones that need a token or
 * rotate. Never blocks; may be called while other threads use the client. Events are still
 * delivered, and tu_client_may_send_to still works. tu_free is still required.
 *
 * Requires:
 * `client` is NULL or a live handle.
 */
void tu_client_close(struct tu_client *client);

/**
 * Releases the client's callbacks (drop), each once no call to it is running. Events already
 * queued are delivered first; later ones are discarded. tu_free does the same; this function is
 * for language bindings whose closed clients may stay in memory for long: call it after
 * tu_client_close. Never blocks; may be called while other threads use the client.
 *
 * Requires:
 * `client` is NULL or a live handle.
 */
void tu_client_drop_functions(struct tu_client *client);

#if defined(TU_TEST_CLOCK)
/**
 * Moves the library's clock forward. Only in test builds.
 */
void tu_test_advance_ms(int64_t by);
#endif

/**
 * Creates a config with the defaults of the option table. The environment is not read before
 * tu_config_load_env. Release it with tu_free.
 */
struct tu_config *tu_config_new(void);

/**
 * Sets an option. Never fails: tu_client_new reports the first mistake (an unknown key, a bad
 * value, NULL). Both strings are copied. Setting a key again replaces its value. Values set here
 * take precedence over the environment, regardless of order.
 *
 * Requires:
 * `config` is NULL or a live handle; the strings are NULL or NUL-terminated.
 */
void tu_config_set(struct tu_config *config, const char *key, const char *value);

/**
 * Reads every environment variable TRACKUNIT_<KEY>, such as TRACKUNIT_CLIENT_ID, that is set and
 * not empty at this moment. Unknown variables with that prefix are ignored.
 *
 * Requires:
 * `config` is NULL or a live handle. As with getenv, no other thread may change the environment
 * during the call.
 */
void tu_config_load_env(struct tu_config *config);

/**
 * Sets the function that supplies the credentials, instead of client_id and client_secret. Setting
 * another one drops the first. `drop` may be NULL.
 *
 * Requires:
 * `config` is NULL or a live handle; the functions may be called from any thread.
 */
void tu_config_on_credentials(struct tu_config *config,
                              tu_credentials_fn function,
                              void *user_data,
                              tu_drop_fn drop);

/**
 * Sets the function that receives events. It is called on one library thread, one event at a time,
 * with no lock held; it may call the client. Setting another one drops the first. `drop` may be
 * NULL.
 *
 * Requires:
 * `config` is NULL or a live handle; the functions may be called from any thread.
 */
void tu_config_on_event(struct tu_config *config,
                        tu_event_fn function,
                        void *user_data,
                        tu_drop_fn drop);

/**
 * Supplies a client id and secret; call it inside a credentials function. Both are copied. NULL or
 * invalid UTF-8 counts as nothing set.
 *
 * Requires:
 * `out` is NULL or the credentials function's argument; the strings are NULL or NUL-terminated.
 */
void tu_credentials_set(struct tu_credentials *out,
                        const char *client_id,
                        const char *client_secret);

/**
 * Gives the reason why no credentials are available; call it inside a credentials function that
 * then returns false. `message` (may be NULL) becomes part of the error message and of events, so
 * it must contain no secret; its first 256 characters are used. `cause` is returned by
 * tu_error_cause; `drop` (may be NULL) is called with it exactly once, when the last error that
 * carries it has been released.
 *
 * Requires:
 * `out` is NULL or the credentials function's argument; `message` is NULL or NUL-terminated;
 * `cause` may be used and dropped on any thread.
 */
void tu_credentials_fail(struct tu_credentials *out,
                         const char *message,
                         void *cause,
                         tu_drop_fn drop);

/**
 * The status; TU_OK for NULL (no error).
 *
 * Requires:
 * `error` is NULL or a live handle.
 */
tu_status tu_error_status(const struct tu_error *error);

/**
 * One line to show or log: what was attempted, what was found, what to do. Contains no secret and
 * no token. "" for NULL.
 *
 * Requires:
 * `error` is NULL or a live handle.
 */
const char *tu_error_message(const struct tu_error *error);

/**
 * The token endpoint's error code, such as "invalid_scope" (RFC 6749 section 5.2); NULL if it sent
 * none.
 *
 * Requires:
 * `error` is NULL or a live handle.
 */
const char *tu_error_oauth_code(const struct tu_error *error);

/**
 * The HTTP status of the token endpoint's response; 0: no response.
 *
 * Requires:
 * `error` is NULL or a live handle.
 */
int32_t tu_error_http_status(const struct tu_error *error);

/**
 * The `cause` that a credentials function passed to tu_credentials_fail; NULL: none. Valid as long
 * as any error that carries it. Every caller that waited for the failed fetch receives such an
 * error; later callers, which receive the remembered failure, get one without a cause.
 *
 * Requires:
 * `error` is NULL or a live handle.
 */
void *tu_error_cause(const struct tu_error *error);

/**
 * Whether the same call may succeed later without any change to program or configuration.
 *
 * Requires:
 * `error` is NULL or a live handle.
 */
bool tu_error_is_retryable(const struct tu_error *error);

/**
 * Milliseconds until the library would send the next token request; -1: unknown. Until then, calls
 * get the same error without a request.
 *
 * Requires:
 * `error` is NULL or a live handle.
 */
int64_t tu_error_retry_after_ms(const struct tu_error *error);

/**
 * The name of a status, such as "TU_INVALID_CLIENT"; "TU_UNKNOWN" for any other number. Static.
 */
const char *tu_status_name(tu_status status);

/**
 * The name of an event's kind, such as "TU_EVENT_ROTATED"; "TU_UNKNOWN" for any other number.
 * Static.
 */
const char *tu_event_kind_name(int32_t kind);

/**
 * Returns a valid token for `scope` (NULL: the client's `scope` option): from the cache, or
 * fetched once for all callers. Waits at most the client's `timeout`. Returns NULL if no valid
 * token can be obtained, the client is closed, or an argument is invalid. Release it with tu_free.
 *
 * Requires:
 * `client` is NULL or a live handle, `scope` NULL or NUL-terminated, `error` NULL or valid to
 * write to.
 */
struct tu_token *tu_token_get(struct tu_client *client, const char *scope, struct tu_error **error);

/**
 * Like tu_token_get, with options; NULL: the defaults.
 *
 * Requires:
 * `client` is NULL or a live handle, `options` NULL or valid, `error` NULL or valid to write to.
 */
struct tu_token *tu_token_get_with(struct tu_client *client,
                                   const struct tu_get_options *options,
                                   struct tu_error **error);

/**
 * The tu_token_serial of the token that tu_token_get would return now from the cache, without a
 * renewal; 0: none. A wrapper that keeps its own copy of a token may serve it as long as this
 * returns the copy's serial: the copy then never outlives a renewal, an invalidation, a fork or a
 * suspend. Never blocks; costs one clock read.
 *
 * Requires:
 * `client` is NULL or a live handle, `scope` NULL or NUL-terminated.
 */
uint64_t tu_token_at_hand(const struct tu_client *client, const char *scope);

/**
 * Like tu_token_at_hand, for a tu_token_get_with that sets min_ttl_ms: returns 0 also if the
 * cached token expires sooner than that, or if min_ttl_ms is negative.
 *
 * Requires:
 * `client` is NULL or a live handle, `scope` NULL or NUL-terminated.
 */
uint64_t tu_token_at_hand_for(const struct tu_client *client,
                              const char *scope,
                              int64_t min_ttl_ms);

/**
 * Copies "Bearer <token>" into `buffer`, without allocating if the token is cached. `*length`
 * (`length` may be NULL) is set to its length in bytes. A NUL is appended if `capacity` is larger
 * than the length, so reserve one byte more. If `capacity` is too small: TU_INVALID_ARGUMENT,
 * `*length` is the required length, and `buffer` is unchanged. After any other failure `*length`
 * is 0 and `buffer` contains no part of a token. Wiping the buffer is up to you.
 *
 * Requires:
 * `client` is NULL or a live handle, `scope` NULL or NUL-terminated, `buffer` NULL or valid to
 * write `capacity` bytes to, `length` and `error` NULL or valid to write to.
 */
tu_status tu_token_copy(struct tu_client *client,
                        const char *scope,
                        char *buffer,
                        size_t capacity,
                        size_t *length,
                        struct tu_error **error);

/**
 * Requests a token without blocking. On TU_OK, `function` is called exactly once and then `drop`
 * (may be NULL): before this returns if the result is known, otherwise on a library thread, never
 * on a thread that closes, cancels or frees. It should return quickly. On any other status
 * `function` is not called, only `drop`; TU_INTERNAL (retryable) means that the thread for
 * timeouts could not be started. If later no thread can be started to call `function`, it is
 * called as soon as one can, or after 1 s on the timeout thread. A child forked in between only
 * calls `drop`, at its next use of the library, and not even that if the parent was inside
 * `function` at the fork.
 *
 * Requires:
 * `client` is NULL or a live handle, `options` NULL or valid, `error` NULL or valid to write to;
 * the functions may be called from any thread.
 */
tu_status tu_token_get_async(struct tu_client *client,
                             const struct tu_get_options *options,
                             tu_token_fn function,
                             void *user_data,
                             tu_drop_fn drop,
                             struct tu_error **error);

/**
 * Releases any object that this library returned for you to own: config, client, token, cancel,
 * error. NULL does nothing.
 *
 * Freeing a client never blocks and makes waiting calls return TU_CLOSED, but no other call on
 * that client may be running or start: close, join, free. Tokens and errors outlive their client.
 * So do running callbacks; their `drop` is called when they return.
 *
 * Freeing any other pointer, or freeing twice, is undefined as with free(); most such mistakes are
 * detected and abort the process with a message.
 *
 * Requires:
 * `owned` is NULL or came from this library and has not been freed.
 */
void tu_free(void *owned);

/**
 * The name of a state, such as "TU_STATE_FRESH"; "TU_UNKNOWN" for any other number. Static.
 */
const char *tu_state_name(int32_t state);

/**
 * Fills in `stats` for a scope; NULL: the client's `scope` option.
 *
 * Requires:
 * `client` is NULL or a live handle, `scope` NULL or NUL-terminated, `stats` NULL or valid to
 * write `stats->struct_size` bytes to, `error` NULL or valid to write to.
 */
tu_status tu_client_stats(struct tu_client *client,
                          const char *scope,
                          struct tu_stats *stats,
                          struct tu_error **error);

/**
 * The bare access token. "" for NULL.
 *
 * Requires:
 * `token` is NULL or a live handle.
 */
const char *tu_token_value(const struct tu_token *token);

/**
 * "Bearer <token>": the value of an Authorization header (RFC 6750 section 2.1). "" for NULL.
 *
 * Requires:
 * `token` is NULL or a live handle.
 */
const char *tu_token_bearer(const struct tu_token *token);

/**
 * "Authorization: Bearer <token>": a complete header line without line ending, as libcurl expects.
 * "" for NULL.
 *
 * Requires:
 * `token` is NULL or a live handle.
 */
const char *tu_token_header(const struct tu_token *token);

/**
 * Length of the bare token in bytes; 0 for NULL.
 *
 * Requires:
 * `token` is NULL or a live handle.
 */
size_t tu_token_length(const struct tu_token *token);

/**
 * The granted scopes, separated by spaces. "" for NULL.
 *
 * Requires:
 * `token` is NULL or a live handle.
 */
const char *tu_token_scope(const struct tu_token *token);

/**
 * Remaining lifetime in milliseconds, measured on a clock that includes suspend; 0 if expired, and
 * for NULL.
 *
 * Requires:
 * `token` is NULL or a live handle.
 */
int64_t tu_token_expires_in_ms(const struct tu_token *token);

/**
 * Milliseconds until the library would renew the token: how long a program may use its own copy
 * without another get. 0 for NULL.
 *
 * Requires:
 * `token` is NULL or a live handle.
 */
int64_t tu_token_fresh_for_ms(const struct tu_token *token);

/**
 * A number that identifies this token among the tokens of its client; see tu_token_at_hand. 0 for
 * NULL.
 *
 * Requires:
 * `token` is NULL or a live handle.
 */
uint64_t tu_token_serial(const struct tu_token *token);

/**
 * Expiry as Unix time in milliseconds, computed from the wall clock when the token was received.
 * For display only: the wall clock may since have been set. 0 for NULL.
 *
 * Requires:
 * `token` is NULL or a live handle.
 */
int64_t tu_token_expires_at_ms(const struct tu_token *token);

/**
 * Version of the loaded library, such as "0.1.0". Static.
 */
const char *tu_version(void);

/**
 * Version of the loaded library as 0xXXYYZZ; compare with TU_VERSION_NUMBER, the header's version.
 */
uint32_t tu_version_number(void);

/**
 * Fills in `watch` for a scope (NULL: the client's `scope` option) that a call has used before.
 * All pointers stay valid until the client is freed. Returns false if there is nothing to watch;
 * then call tu_token_at_hand each time, as after any check that fails.
 *
 * To watch a copy, remember the version and the number of forks before a call of tu_token_at_hand
 * that returns the copy's serial, and check that the version is the same after it. Later the copy
 * may be handed out without a call if, read in this order, *until is not 0, *version and *forks
 * are the ones remembered, *asked is true, and CLOCK_BOOTTIME is before *until.
 *
 * Requires:
 * `client` is NULL or a live handle, `scope` NULL or NUL-terminated, `watch` NULL or valid to
 * write `watch->struct_size` bytes to.
 */
bool tu_token_watch(const struct tu_client *client, const char *scope, struct tu_watch *watch);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* TU_TOKEN_H */
