#ifndef TU_TOKEN_H
#define TU_TOKEN_H 
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
typedef int32_t tu_status;
enum {
  TU_OK = 0,
  TU_INVALID_ARGUMENT = 1,
  TU_CONFIG = 2,
  TU_CLOSED = 3,
  TU_TIMEOUT = 100,
  TU_CANCELLED = 101,
  TU_PENDING = 102,
  TU_NETWORK = 200,
  TU_TLS = 201,
  TU_CREDENTIALS = 202,
  TU_PROXY = 203,
  TU_INVALID_CLIENT = 300,
  TU_INVALID_SCOPE = 301,
  TU_OAUTH = 302,
  TU_RATE_LIMITED = 303,
  TU_SERVER = 304,
  TU_BAD_RESPONSE = 305,
  TU_BUDGET = 400,
  TU_INTERNAL = 900
};
enum {
  TU_STATE_EMPTY = 0,
  TU_STATE_FRESH = 1,
  TU_STATE_SOFT = 2,
  TU_STATE_HARD = 3,
  TU_STATE_EXPIRED = 4
};
enum {
  TU_EVENT_FETCH_STARTED = 1,
  TU_EVENT_FETCH_SUCCEEDED = 2,
  TU_EVENT_FETCH_FAILED = 3,
  TU_EVENT_SERVED_WHILE_FAILING = 4,
  TU_EVENT_INVALIDATED = 5,
  TU_EVENT_ROTATED = 6,
  TU_EVENT_STORE = 7,
  TU_EVENT_CLOCK = 8,
  TU_EVENT_FORK = 9,
  TU_EVENT_BUDGET = 10,
  TU_EVENT_WARNING = 11
};
enum {
  TU_SEVERITY_DEBUG = 1,
  TU_SEVERITY_INFO = 2,
  TU_SEVERITY_WARNING = 3
};
#define TU_VERSION_NUMBER \
  (TU_VERSION_MAJOR * 0x10000u + TU_VERSION_MINOR * 0x100u + TU_VERSION_PATCH)
#define TU_VERSION_AT_LEAST(x,y,z) (TU_VERSION_NUMBER >= ((x) * 0x10000u + (y) * 0x100u + (z)))
#define TU_NO_WAIT (-1)
#define TU_GET_OPTIONS_INIT { sizeof(tu_get_options), NULL, 0, 0, NULL }
#define TU_VERSION_MAJOR 0
#define TU_VERSION_MINOR 1
#define TU_VERSION_PATCH 0
typedef struct tu_cancel tu_cancel;
typedef struct tu_client tu_client;
typedef struct tu_config tu_config;
typedef struct tu_credentials tu_credentials;
typedef struct tu_error tu_error;
typedef struct tu_token tu_token;
typedef bool (*tu_credentials_fn)(void *user_data, bool refused, struct tu_credentials *out);
typedef void (*tu_drop_fn)(void *user_data);
typedef struct tu_event {
  size_t struct_size;
  int32_t kind;
  tu_status status;
  const char *client;
  const char *scope;
  const char *message;
  const char *fingerprint;
  int32_t http_status;
  int32_t attempt;
  int64_t duration_ms;
  int64_t wait_ms;
  int32_t severity;
} tu_event;
typedef void (*tu_event_fn)(void *user_data, const struct tu_event *event);
typedef struct tu_get_options {
  size_t struct_size;
  const char *scope;
  int64_t timeout_ms;
  int64_t min_ttl_ms;
  struct tu_cancel *cancel;
} tu_get_options;
typedef void (*tu_token_fn)(void *user_data, struct tu_token *token, struct tu_error *error);
typedef struct tu_stats {
  size_t struct_size;
  int32_t state;
  tu_status last_status;
  int64_t expires_in_ms;
  int64_t next_request_in_ms;
  int64_t last_fetch_ms;
  uint64_t waits;
  uint64_t requests;
  uint64_t renewals;
  uint64_t failures;
} tu_stats;
#ifdef __cplusplus
extern "C" {
#endif
struct tu_cancel *tu_cancel_new(void);
void tu_cancel_trigger(struct tu_cancel *cancel);
struct tu_client *tu_client_new(const struct tu_config *config, struct tu_error **error);
tu_status tu_client_rotate(struct tu_client *client,
                           const char *client_id,
                           const char *client_secret,
                           struct tu_error **error);
void tu_client_invalidate(struct tu_client *client, const struct tu_token *token);
void tu_client_invalidate_value(struct tu_client *client, const char *token);
bool tu_client_may_send_to(const struct tu_client *client, const char *url);
void tu_client_api_refused(struct tu_client *client, const char *url);
void tu_client_wake(struct tu_client *client);
void tu_client_close(struct tu_client *client);
void tu_client_drop_functions(struct tu_client *client);
#if defined(TU_TEST_CLOCK)
void tu_test_advance_ms(int64_t by);
#endif
struct tu_config *tu_config_new(void);
void tu_config_set(struct tu_config *config, const char *key, const char *value);
void tu_config_load_env(struct tu_config *config);
void tu_config_on_credentials(struct tu_config *config,
                              tu_credentials_fn function,
                              void *user_data,
                              tu_drop_fn drop);
void tu_config_on_event(struct tu_config *config,
                        tu_event_fn function,
                        void *user_data,
                        tu_drop_fn drop);
void tu_credentials_set(struct tu_credentials *out,
                        const char *client_id,
                        const char *client_secret);
void tu_credentials_fail(struct tu_credentials *out,
                         const char *message,
                         void *cause,
                         tu_drop_fn drop);
tu_status tu_error_status(const struct tu_error *error);
const char *tu_error_message(const struct tu_error *error);
const char *tu_error_oauth_code(const struct tu_error *error);
int32_t tu_error_http_status(const struct tu_error *error);
void *tu_error_cause(const struct tu_error *error);
bool tu_error_is_retryable(const struct tu_error *error);
int64_t tu_error_retry_after_ms(const struct tu_error *error);
const char *tu_status_name(tu_status status);
const char *tu_event_kind_name(int32_t kind);
struct tu_token *tu_token_get(struct tu_client *client, const char *scope, struct tu_error **error);
struct tu_token *tu_token_get_with(struct tu_client *client,
                                   const struct tu_get_options *options,
                                   struct tu_error **error);
uint64_t tu_token_at_hand(const struct tu_client *client, const char *scope);
uint64_t tu_token_at_hand_for(const struct tu_client *client,
                              const char *scope,
                              int64_t min_ttl_ms);
tu_status tu_token_copy(struct tu_client *client,
                        const char *scope,
                        char *buffer,
                        size_t capacity,
                        size_t *length,
                        struct tu_error **error);
tu_status tu_token_get_async(struct tu_client *client,
                             const struct tu_get_options *options,
                             tu_token_fn function,
                             void *user_data,
                             tu_drop_fn drop,
                             struct tu_error **error);
void tu_free(void *owned);
const char *tu_state_name(int32_t state);
tu_status tu_client_stats(struct tu_client *client,
                          const char *scope,
                          struct tu_stats *stats,
                          struct tu_error **error);
const char *tu_token_value(const struct tu_token *token);
const char *tu_token_bearer(const struct tu_token *token);
const char *tu_token_header(const struct tu_token *token);
size_t tu_token_length(const struct tu_token *token);
const char *tu_token_scope(const struct tu_token *token);
int64_t tu_token_expires_in_ms(const struct tu_token *token);
int64_t tu_token_fresh_for_ms(const struct tu_token *token);
uint64_t tu_token_serial(const struct tu_token *token);
int64_t tu_token_expires_at_ms(const struct tu_token *token);
const char *tu_version(void);
uint32_t tu_version_number(void);
#ifdef __cplusplus
}
#endif
#endif
