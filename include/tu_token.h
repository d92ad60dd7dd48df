/*
 * tu_token.h - access tokens for Trackunit's IRIS APIs: got once, kept, handed out.
 * Not affiliated with Trackunit. SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * THREE CALLS MAKE A PROGRAM
 *   tu_client *client = tu_client_new(NULL, &error);        options from TRACKUNIT_* variables
 *   tu_token  *token  = tu_token_get(client, NULL, &error);  for each request: it is cached
 *   tu_free(token); tu_free(client);
 *
 * RULES THAT HOLD EVERYWHERE
 * - Release: whatever a function returned for you to own is released with tu_free, whatever its
 *   kind. tu_free(NULL) does nothing.
 * - Errors: a function that can fail returns NULL or a status other than TU_OK and, if `error` is
 *   not NULL, sets *error to an error that you own. On success *error becomes NULL. There is no
 *   "last error" anywhere.
 * - Configuration: tu_config_set cannot fail; the first mistake is reported by tu_client_new.
 * - Strings in are NUL-terminated UTF-8 and copied before the call returns. Strings out are
 *   NUL-terminated and belong to the object they came from.
 * - NULL handles give TU_INVALID_ARGUMENT or a neutral value, never a crash.
 * - Threads: every function may be called from any thread on the same client, token, cancel or
 *   error at once. A tu_config belongs to one thread at a time. Close, join, free: no call on a
 *   client may start once it is being freed. Calls that wait already return TU_CLOSED, as after
 *   tu_client_close.
 * - fork: a child may use an inherited client at once; it keeps the valid token. Waits and cancels
 *   are not carried over. A fork waits for threads inside the library, asleep, for 50 ms at most; if
 *   that is not enough, the child begins without tokens, and what its parent's callers and callbacks
 *   hold is not dropped in it. A child made by _Fork or clone may not use the library before exec.
 * - Signal handlers may call no function of the library. They may fork, as far as the C library
 *   allows it, also when they interrupted a call: it goes on in parent and child, and a wait begins
 *   anew in the child. A child that ends in the handler may use the library there.
 * - Callbacks come as (function, user_data, drop). `drop` runs exactly once, after the last call
 *   of the function has ended, also if setting it failed, on any thread, also after tu_free. No
 *   callback runs under a lock of the library; it may call the library, close its client and, if
 *   no other call uses that client any more, free it. One that blocks delays what waits for it: a
 *   credentials function its fetch, an event function later events, an answer other answers; never
 *   a caller beyond its timeout. An exception that leaves one ends the process; a longjmp must not.
 * - A forked child inherits callbacks: they are called in both processes, and `drop` runs once in
 *   each. Answers that the parent waits for are not called in the child, only dropped. A callback
 *   that forks should end its child itself (exec, _exit): what follows is the parent's business.
 * - Time: the clock counts suspend; setting the wall clock changes nothing that is cached.
 * - Secrets: secrets and tokens are wiped when dropped and stand in no error, event or log. The
 *   strings you pass in and copies you make are yours to wipe.
 * - Panics are contained and become TU_INTERNAL. So does a thread that the system does not give (by
 *   ulimit -u, say), but retryable: nothing is lost or remembered by that, and a valid token is
 *   handed out all the same. Out of memory ends the process.
 * - Growth: new options are new keys; structs begin with struct_size and are only appended to;
 *   status numbers are never reused.
 */


#ifndef TU_TOKEN_H
#define TU_TOKEN_H

/* Generated from src/ffi by `make header`; changes belong there. */


#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** What a call came to. Any int32_t may be passed where a status is taken. */
typedef int32_t tu_status;

enum {
  TU_OK = 0,
  /** NULL, bad UTF-8, bad scope characters, bad struct. */
  TU_INVALID_ARGUMENT = 1,
  /** Unknown key, bad value, missing or contradictory options, unreadable file. */
  TU_CONFIG = 2,
  /** The client was closed. */
  TU_CLOSED = 3,
  /** This caller's wait ended; the fetch goes on. */
  TU_TIMEOUT = 100,
  /** This caller's wait was cancelled; the fetch goes on. */
  TU_CANCELLED = 101,
  /** TU_NO_WAIT and no token yet; the fetch has been started. */
  TU_PENDING = 102,
  /** Name resolution, connection, reset, the endpoint's own time limit. */
  TU_NETWORK = 200,
  /** Certificate, host name, no trust store. */
  TU_TLS = 201,
  /** Id or secret cannot be had: file, callback. */
  TU_CREDENTIALS = 202,
  /** The proxy refuses: its login (407, not retryable) or by its rules (403). */
  TU_PROXY = 203,
  /** The endpoint refused the client id and secret: invalid_client, unauthorized_client, or 401
   *  without an OAuth error. */
  TU_INVALID_CLIENT = 300,
  /** The endpoint refused the scope, or granted less than was asked for. */
  TU_INVALID_SCOPE = 301,
  /** Another OAuth error: tu_error_oauth_code. */
  TU_OAUTH = 302,
  /** 429, or a Retry-After that is still running. */
  TU_RATE_LIMITED = 303,
  /** 5xx. */
  TU_SERVER = 304,
  /** An answer that is not a token; a redirect. */
  TU_BAD_RESPONSE = 305,
  /** The client's own limit of token requests a minute. */
  TU_BUDGET = 400,
  /** A bug of the library, contained; or, if retryable, the system has no thread to give. */
  TU_INTERNAL = 900
};

/** tu_stats.state: what the cached token is worth. Names: tu_state_name. */
enum {
  /** There is none: none was had yet, or an API refused the last one. */
  TU_STATE_EMPTY = 0,
  /** It is handed out as it is. */
  TU_STATE_FRESH = 1,
  /** It is handed out at once, while one fetch renews it. */
  TU_STATE_SOFT = 2,
  /** It is about to end: callers wait a little for the next one. */
  TU_STATE_HARD = 3,
  /** It has ended, and is not handed out. */
  TU_STATE_EXPIRED = 4
};

/** tu_event.kind. Names: tu_event_kind_name. */
enum {
  /** A fetch begins. */
  TU_EVENT_FETCH_STARTED = 1,
  /** A fetch brought a token; duration_ms: how long it took. */
  TU_EVENT_FETCH_SUCCEEDED = 2,
  /** An attempt of a fetch failed: status, attempt; wait_ms: until the next one. */
  TU_EVENT_FETCH_FAILED = 3,
  /** A valid token is handed out although its renewal failed. */
  TU_EVENT_SERVED_WHILE_FAILING = 4,
  /** A token that an API refused was dropped. */
  TU_EVENT_INVALIDATED = 5,
  /** The client has another id and secret. */
  TU_EVENT_ROTATED = 6,
  /** A token store was hit, was missed, or failed: status. */
  TU_EVENT_STORE = 7,
  /** The machine slept, or its wall clock was set. */
  TU_EVENT_CLOCK = 8,
  /** The process was forked, and the client is used in the child. */
  TU_EVENT_FORK = 9,
  /** The client's own limit of token requests a minute was reached. */
  TU_EVENT_BUDGET = 10,
  /** Something odd that a person should look at: the message. */
  TU_EVENT_WARNING = 11
};

/** tu_event.severity: how much a person should care. */
enum {
  /** What goes on all the time: a fetch begins, a store is hit or missed. */
  TU_SEVERITY_DEBUG = 1,
  /** What happens when all is well. */
  TU_SEVERITY_INFO = 2,
  /** A failure, or something that a person should look at. */
  TU_SEVERITY_WARNING = 3
};

/** The version of this header as 0xXXYYZZ; compare it with tu_version_number(). */
#define TU_VERSION_NUMBER \
  (TU_VERSION_MAJOR * 0x10000u + TU_VERSION_MINOR * 0x100u + TU_VERSION_PATCH)
/** Whether this header is at least of a version; also for #if. */
#define TU_VERSION_AT_LEAST(x, y, z) (TU_VERSION_NUMBER >= ((x) * 0x10000u + (y) * 0x100u + (z)))

/** For tu_get_options.timeout_ms: do not wait. */
#define TU_NO_WAIT (-1)

/** The first value of a tu_get_options. */
#define TU_GET_OPTIONS_INIT { sizeof(tu_get_options), NULL, 0, 0, NULL }


/**
 * The version of this header.
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
 * Ends waits early. One-shot; may be shared by any number of calls and threads; may be freed once
 * the calls that used it have returned. Does not cross a fork.
 */
typedef struct tu_cancel tu_cancel;

/**
 * Gets, keeps and hands out the tokens of one API key. Every function may be called on it from
 * any thread at once, and in a forked child. Release it with tu_free.
 */
typedef struct tu_client tu_client;

/**
 * The options of a client to be. Belongs to one thread at a time; tu_client_new copies it, so it
 * may be changed or released at once afterwards. Release it with tu_free.
 */
typedef struct tu_config tu_config;

/**
 * Takes a client id and secret from a credentials function, or why there are none. Valid during
 * that call only.
 */
typedef struct tu_credentials tu_credentials;

/**
 * What went wrong. Does not change, may be read from any thread, outlives its client; release it
 * with tu_free. Its strings live as long as it does.
 */
typedef struct tu_error tu_error;

/**
 * An access token. The caller's own object: it does not change, may be read from any thread,
 * outlives its client, and is wiped when it is released with tu_free. Its strings live as long as
 * it does.
 */
typedef struct tu_token tu_token;

/**
 * Gives the client id and secret, by tu_credentials_set, before each token request. `refused`:
 * the endpoint refused the last pair. Returns false, or sets nothing, if there is none to be had:
 * TU_CREDENTIALS; tu_credentials_fail tells why. It must not wait for a token of the client it
 * serves (such a call gets TU_INVALID_ARGUMENT).
 *
 * Called on a thread of the library's that is there for that, at most eight at once in the process.
 * All fetches of a client that need credentials while it runs share what it gives. Its time is not
 * taken from fetch_timeout: callers wait for it at most their timeout (TU_TIMEOUT says so then), and
 * a valid token is handed out meanwhile. One that has not returned after 10 s may have hung: it is
 * called again beside that, on another thread, up to four times in all, and what comes first is
 * used; so it may run on several threads at once.
 */
typedef bool (*tu_credentials_fn)(void *user_data, bool refused, struct tu_credentials *out);

/**
 * Lets go of `user_data`. Called exactly once, after the last call of the function it belongs to
 * has ended; also when setting that function failed. On any thread.
 */
typedef void (*tu_drop_fn)(void *user_data);

/**
 * Something that happened. Valid during the call; strings are never NULL, "" is "none". Holds
 * neither a secret nor a token.
 */
typedef struct tu_event {
  /**
   * Of this struct, as the library knows it.
   */
  size_t struct_size;
  /**
   * TU_EVENT_*, see tu_event_kind_name; numbers may be added.
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
   * The canonical scope it is about; "" if it is about the client.
   */
  const char *scope;
  /**
   * One line for a person.
   */
  const char *message;
  /**
   * Eight hex digits that tell tokens apart within one process.
   */
  const char *fingerprint;
  /**
   * The token endpoint's answer; 0: none.
   */
  int32_t http_status;
  /**
   * Which attempt of a fetch, from 1; 0: not about an attempt.
   */
  int32_t attempt;
  /**
   * How long it took: FETCH_FAILED, that attempt alone; FETCH_SUCCEEDED, the whole fetch with its
   * earlier attempts and pauses; STORE, the fetch up to then; CLOCK, how far. Else 0.
   */
  int64_t duration_ms;
  /**
   * How long until the next try; -1: unknown.
   */
  int64_t wait_ms;
  /**
   * TU_SEVERITY_*: how much a person should care; numbers may be added. (A library that is older
   * than this member has a smaller struct_size.)
   */
  int32_t severity;
} tu_event;

/**
 * Is told what happens; see tu_config_on_event. While it blocks, events of every client of the
 * process wait, up to 1,024 for each; fetches and callers do not.
 */
typedef void (*tu_event_fn)(void *user_data, const struct tu_event *event);

/**
 * How a token is asked for. Begin with TU_GET_OPTIONS_INIT; all zero behind struct_size is the
 * default.
 */
typedef struct tu_get_options {
  /**
   * sizeof(tu_get_options).
   */
  size_t struct_size;
  /**
   * Scopes, separated by blanks; NULL: the client's own.
   */
  const char *scope;
  /**
   * The longest wait; 0: the client's `timeout`; TU_NO_WAIT: do not wait.
   */
  int64_t timeout_ms;
  /**
   * The token should live at least this much longer; best effort.
   */
  int64_t min_ttl_ms;
  /**
   * Ends the wait early; NULL: nothing does.
   */
  struct tu_cancel *cancel;
} tu_get_options;

/**
 * Is given a token or an error, exactly one of them not NULL, and owns it: tu_free. Should be
 * short: the library has few threads to call it on.
 */
typedef void (*tu_token_fn)(void *user_data, struct tu_token *token, struct tu_error *error);

/**
 * What the cache entry of a scope has been through. Hits are not counted.
 */
typedef struct tu_stats {
  /**
   * Set by the caller to sizeof(tu_stats); no more than that is written.
   */
  size_t struct_size;
  /**
   * TU_STATE_*: what the cached token is worth now. See tu_state_name.
   */
  int32_t state;
  /**
   * How the last fetch ended.
   */
  tu_status last_status;
  /**
   * Life left of the cached token.
   */
  int64_t expires_in_ms;
  /**
   * How long until a token request may be made; 0: now.
   */
  int64_t next_request_in_ms;
  /**
   * How long the last fetch took.
   */
  int64_t last_fetch_ms;
  /**
   * Calls that had to wait for a fetch.
   */
  uint64_t waits;
  /**
   * Token requests sent.
   */
  uint64_t requests;
  /**
   * Tokens received in the place of a valid one.
   */
  uint64_t renewals;
  /**
   * Failed fetches.
   */
  uint64_t failures;
} tu_stats;





#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * A cancel that has not been triggered. Release it with tu_free.
 */
struct tu_cancel *tu_cancel_new(void);

/**
 * Makes every call that was given this cancel return TU_CANCELLED, now and from now on. The
 * fetches they waited for go on. NULL does nothing.
 *
 * # Safety
 * `cancel` is NULL or a live handle.
 */
void tu_cancel_trigger(struct tu_cancel *cancel);

/**
 * A client with a copy of `config`; NULL: everything from the environment. Makes no request and
 * reads no file but those the options name. NULL on the first mistake in the options: TU_CONFIG
 * or TU_INVALID_ARGUMENT. Without the option `scope` each call has to name one: else the call fails,
 * not this function. Release it with tu_free.
 *
 * # Safety
 * `config` is NULL or a live handle, `error` NULL or valid to write to.
 */
struct tu_client *tu_client_new(const struct tu_config *config,
                                struct tu_error **error);

/**
 * Uses another client id and secret from the next request on, in the place of whatever gave them
 * before. Both are copied. Cached tokens stay in use; a remembered refusal is forgotten.
 *
 * # Safety
 * `client` is NULL or a live handle, the strings NULL or NUL-terminated, `error` NULL or valid to
 * write to.
 */
tu_status tu_client_rotate(struct tu_client *client,
                           const char *client_id,
                           const char *client_secret,
                           struct tu_error **error);

/**
 * An API answered 401 to this token: it is not handed out again. If a newer one is cached
 * already, nothing happens. Neither 403 nor 429 is a reason to call this. NULL does nothing.
 *
 * # Safety
 * `client` and `token` are NULL or live handles.
 */
void tu_client_invalidate(struct tu_client *client, const struct tu_token *token);

/**
 * The same for a token known by its text, bare or as "Bearer <token>".
 *
 * # Safety
 * `client` is NULL or a live handle, `token` NULL or NUL-terminated.
 */
void tu_client_invalidate_value(struct tu_client *client, const char *token);

/**
 * Whether a token may be sent to this URL: by https to a host of the option `api_hosts`, or to this
 * machine. For whoever attaches tokens to requests by itself; ask again after each redirect.
 *
 * # Safety
 * `client` is NULL or a live handle, `url` NULL or NUL-terminated.
 */
bool tu_client_may_send_to(const struct tu_client *client, const char *url);

/**
 * An API at this URL answered 401 also to the token that followed the invalidated one. Says in an
 * event, once a host, that it may not accept API Tokens v2 yet. Does nothing else.
 *
 * # Safety
 * `client` is NULL or a live handle, `url` NULL or NUL-terminated.
 */
void tu_client_api_refused(struct tu_client *client, const char *url);

/**
 * The network is back: pauses after failures end now for whoever waits, and within five seconds
 * for renewals. A wait that the server asked for by Retry-After still holds. A login that the proxy
 * refused is made again at most once in ten minutes.
 *
 * # Safety
 * `client` is NULL or a live handle.
 */
void tu_client_wake(struct tu_client *client);

/**
 * Ends the client: waiting calls return TU_CLOSED, and so does every later one that asks for a
 * token or rotates. Never blocks; may be called while other threads use the client. Events are still
 * told, and tu_client_may_send_to still answers. tu_free is still needed.
 *
 * # Safety
 * `client` is NULL or a live handle.
 */
void tu_client_close(struct tu_client *client);

/**
 * Lets the functions of a client go (drop), each as soon as no call of it runs; events that wait to be
 * told are told before, later ones to nobody. tu_free does this by itself. It is for bindings to other
 * languages, whose closed clients may stay for long: call it after tu_client_close. Never blocks; may
 * be called while other threads use the client.
 *
 * # Safety
 * `client` is NULL or a live handle.
 */
void tu_client_drop_functions(struct tu_client *client);

#if defined(TU_TEST_CLOCK)
/**
 * Turns the clock of this library forward. Only in builds for tests.
 */
void tu_test_advance_ms(int64_t by);
#endif

/**
 * A new configuration with the defaults of the option table; nothing is taken from the environment
 * before tu_config_load_env. Release it with tu_free.
 */
struct tu_config *tu_config_new(void);

/**
 * Sets an option. Never fails: the first mistake (an unknown key, a bad value, NULL) is
 * remembered and reported by tu_client_new. Both strings are copied. A second value replaces the
 * first. What the program sets wins over the environment, in any order.
 *
 * # Safety
 * `config` is NULL or a live handle; the strings are NULL or NUL-terminated.
 */
void tu_config_set(struct tu_config *config, const char *key, const char *value);

/**
 * Takes every environment variable TRACKUNIT_<KEY> that is set now and not empty, such as
 * TRACKUNIT_CLIENT_ID. Others with that prefix are ignored.
 *
 * # Safety
 * `config` is NULL or a live handle. As with getenv, no other thread may change the environment
 * meanwhile.
 */
void tu_config_load_env(struct tu_config *config);

/**
 * Sets the function that gives the credentials, in the place of client_id and client_secret. Set
 * twice, the first is dropped. `drop` may be NULL.
 *
 * # Safety
 * `config` is NULL or a live handle; the functions may be called from any thread.
 */
void tu_config_on_credentials(struct tu_config *config,
                              tu_credentials_fn function,
                              void *user_data,
                              tu_drop_fn drop);

/**
 * Sets the function that is told what happens. Called on one thread of the library's, one event
 * after the other, never under a lock; it may call the client. Set twice, the first is dropped.
 * `drop` may be NULL.
 *
 * # Safety
 * `config` is NULL or a live handle; the functions may be called from any thread.
 */
void tu_config_on_event(struct tu_config *config,
                        tu_event_fn function,
                        void *user_data,
                        tu_drop_fn drop);

/**
 * Hands over a client id and secret, from within a credentials function. Both are copied. NULL or
 * bad UTF-8 counts as nothing set.
 *
 * # Safety
 * `out` is NULL or what the credentials function was given; the strings are NULL or
 * NUL-terminated.
 */
void tu_credentials_set(struct tu_credentials *out,
                        const char *client_id,
                        const char *client_secret);

/**
 * Says why there are none, from within a credentials function that then returns false. `message`
 * (may be NULL) becomes part of the error's message and of events, so it must hold no secret;
 * `cause` is for tu_error_cause, and `drop` (may be NULL) is called with it, exactly once, when the
 * last error that carries it has been released.
 *
 * # Safety
 * `out` is NULL or what the credentials function was given; `message` is NULL or NUL-terminated;
 * `cause` may be used and dropped on any thread.
 */
void tu_credentials_fail(struct tu_credentials *out,
                         const char *message,
                         void *cause,
                         tu_drop_fn drop);

/**
 * The status; TU_OK for NULL, which is "no error".
 *
 * # Safety
 * `error` is NULL or a live handle.
 */
tu_status tu_error_status(const struct tu_error *error);

/**
 * One line for a person: what was being done, what was found, what to do. Holds neither a secret
 * nor a token. "" for NULL.
 *
 * # Safety
 * `error` is NULL or a live handle.
 */
const char *tu_error_message(const struct tu_error *error);

/**
 * The token endpoint's error code, such as "invalid_scope" (RFC 6749 section 5.2); NULL if it
 * gave none.
 *
 * # Safety
 * `error` is NULL or a live handle.
 */
const char *tu_error_oauth_code(const struct tu_error *error);

/**
 * The HTTP status of the token endpoint's answer; 0: there was no answer.
 *
 * # Safety
 * `error` is NULL or a live handle.
 */
int32_t tu_error_http_status(const struct tu_error *error);

/**
 * The pointer that a credentials function left with tu_credentials_fail; NULL: none. It lives as
 * long as some error that carries it: every caller that waited for the fetch that failed gets one.
 * Later callers, who are told of the same failure while it is remembered, do not.
 *
 * # Safety
 * `error` is NULL or a live handle.
 */
void *tu_error_cause(const struct tu_error *error);

/**
 * Whether the same call may succeed later without anybody changing anything.
 *
 * # Safety
 * `error` is NULL or a live handle.
 */
bool tu_error_is_retryable(const struct tu_error *error);

/**
 * In how many milliseconds the library would ask the endpoint again; -1: unknown. Until then a
 * call gets the same error without a request.
 *
 * # Safety
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
 * A token for `scope` (NULL: the client's own) that is valid now: at hand, or fetched once for
 * all callers. Waits at most the client's `timeout`. NULL on failure: there is no valid token, the
 * client is closed, or an argument cannot be used. Release it with tu_free.
 *
 * # Safety
 * `client` is NULL or a live handle, `scope` NULL or NUL-terminated, `error` NULL or valid to
 * write to.
 */
struct tu_token *tu_token_get(struct tu_client *client, const char *scope, struct tu_error **error);

/**
 * The same with options; NULL options: all defaults.
 *
 * # Safety
 * `client` is NULL or a live handle, `options` NULL or valid, `error` NULL or valid to write to.
 */
struct tu_token *tu_token_get_with(struct tu_client *client,
                                   const struct tu_get_options *options,
                                   struct tu_error **error);

/**
 * Which token tu_token_get would hand out now without asking anybody: its tu_token_serial. 0: it
 * would have to ask. A wrapper that keeps its own copy of a token may hand that out for as long as
 * this returns its serial: the copy then never outlives a renewal, an invalidation, a fork or a
 * suspend. Never blocks; costs a look at the clock.
 *
 * # Safety
 * `client` is NULL or a live handle, `scope` NULL or NUL-terminated.
 */
uint64_t tu_token_at_hand(const struct tu_client *client, const char *scope);

/**
 * The same for tu_token_get_with and its min_ttl_ms: 0 also if the token at hand does not live so
 * much longer. Below zero: 0.
 *
 * # Safety
 * `client` is NULL or a live handle, `scope` NULL or NUL-terminated.
 */
uint64_t tu_token_at_hand_for(const struct tu_client *client,
                              const char *scope,
                              int64_t min_ttl_ms);

/**
 * Copies "Bearer <token>" into `buffer`: no allocation when the token is at hand. `*length` (may
 * be NULL) becomes its length. If `capacity` is larger than that, a NUL follows; so give a byte
 * more than a token needs. If `capacity` is too small, nothing is written to `buffer`, `*length`
 * is the length needed, and the status is TU_INVALID_ARGUMENT. After any other failure `*length`
 * is 0, and what is in `buffer` is no part of a token. Wiping the buffer is up to you.
 *
 * # Safety
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
 * Asks for a token without waiting. TU_OK: `function` is called exactly once, before this returns
 * if the answer is there, else on a thread of the library's, never on one that closes, cancels or
 * frees; then `drop` (may be NULL) is. It should be short. Another status: `function` is not
 * called, `drop` is; TU_INTERNAL, retryable, if no thread can be had that watches the time limit.
 * Should there be none later to call it on, it is called when there is, or after a second on the
 * one that watches. A child forked meanwhile only calls `drop`, when it next uses the library;
 * neither, if the parent was inside of `function` at that moment.
 *
 * # Safety
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
 * Releases anything a function of this library returned for you to own: configuration, client,
 * token, cancel, error. NULL is allowed and does nothing.
 *
 * Freeing a client makes waiting calls return TU_CLOSED and never blocks, but no other call on
 * that client may be running or start: close, join, free. Tokens and errors outlive their client;
 * so do callbacks that are running, whose `drop` follows when they have ended.
 *
 * Freeing something else, or twice, is undefined as with free(); most such mistakes are noticed
 * and end the process with a message.
 *
 * # Safety
 * `owned` is NULL or came from this library and has not been freed.
 */
void tu_free(void *owned);

/**
 * The name of a state, such as "TU_STATE_FRESH"; "TU_UNKNOWN" for any other number. Static.
 */
const char *tu_state_name(int32_t state);

/**
 * Fills in `stats` for a scope; NULL: the client's own.
 *
 * # Safety
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
 * # Safety
 * `token` is NULL or a live handle.
 */
const char *tu_token_value(const struct tu_token *token);

/**
 * "Bearer <token>": the value of an Authorization header (RFC 6750 section 2.1). "" for NULL.
 *
 * # Safety
 * `token` is NULL or a live handle.
 */
const char *tu_token_bearer(const struct tu_token *token);

/**
 * "Authorization: Bearer <token>": a whole header line without its line end, as libcurl takes it.
 * "" for NULL.
 *
 * # Safety
 * `token` is NULL or a live handle.
 */
const char *tu_token_header(const struct tu_token *token);

/**
 * The length of the bare token in bytes. 0 for NULL.
 *
 * # Safety
 * `token` is NULL or a live handle.
 */
size_t tu_token_length(const struct tu_token *token);

/**
 * The scopes that were granted, separated by blanks. "" for NULL.
 *
 * # Safety
 * `token` is NULL or a live handle.
 */
const char *tu_token_scope(const struct tu_token *token);

/**
 * Life left now, in milliseconds; 0 when the token is dead, and for NULL. Time that the machine
 * spends in suspend counts.
 *
 * # Safety
 * `token` is NULL or a live handle.
 */
int64_t tu_token_expires_in_ms(const struct tu_token *token);

/**
 * How long, in milliseconds from now, until the library would renew the token: as long as a
 * program may keep using its own copy without asking again. 0 for NULL.
 *
 * # Safety
 * `token` is NULL or a live handle.
 */
int64_t tu_token_fresh_for_ms(const struct tu_token *token);

/**
 * Which token of its client this is: a number that no other token of that client has; see
 * tu_token_at_hand. 0 for NULL.
 *
 * # Safety
 * `token` is NULL or a live handle.
 */
uint64_t tu_token_serial(const struct tu_token *token);

/**
 * When the token ends, in milliseconds since 1970 by the wall clock at the time it was had. To
 * report only: the wall clock may be set. 0 for NULL.
 *
 * # Safety
 * `token` is NULL or a live handle.
 */
int64_t tu_token_expires_at_ms(const struct tu_token *token);

/**
 * The version of the library that is loaded, such as "0.1.0". Static.
 */
const char *tu_version(void);

/**
 * The version of the library that is loaded as 0xXXYYZZ; compare it with TU_VERSION_NUMBER, the
 * version of the header.
 */
uint32_t tu_version_number(void);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* TU_TOKEN_H */
