/*
 * The contract of the header: each function with valid, invalid and no input. Needs the emulator's
 * TRACKUNIT_* variables.
 */
#include "check.h"

#include <stdlib.h>
#include <time.h>

static int drops;

static void count_drop(void *user_data) {
  (void)user_data;
  drops++;
}

static tu_config *environment(void) {
  tu_config *config = tu_config_new();
  tu_config_load_env(config);
  return config;
}

static tu_client *client_with(const char *key, const char *value, tu_error **error) {
  tu_config *config = environment();
  if (key) tu_config_set(config, key, value);
  tu_client *client = tu_client_new(config, error);
  tu_free(config);
  return client;
}

/* This option value must fail with this status and a helpful message. */
static void refused(const char *key, const char *value, tu_status status, const char *text) {
  tu_error *error = NULL;
  tu_client *client = client_with(key, value, &error);
  CHECK(client == NULL);
  CHECK_ERROR(error, status, text);
  tu_free(client);
}

static void bad_options(void) {
  refused("scopee", "x", TU_CONFIG, "did you mean scope?");
  refused("no_such_thing_at_all", "x", TU_CONFIG, "the options are");
  refused("", "x", TU_CONFIG, "unknown option");
  refused("timeout", "soon", TU_CONFIG, "timeout");
  refused("timeout", "25h", TU_CONFIG, "range");
  refused("max_requests_per_minute", "0", TU_CONFIG, "1 to 1000000");
  refused("keep_warm", "perhaps", TU_CONFIG, "true or false");
  refused("token_url", "http://auth.example/token", TU_CONFIG, "plain http");
  refused("token_url", "https://user:hush@auth.example/token", TU_CONFIG, "user info");
  refused("token_url", "https://auth.example/token#x", TU_CONFIG, "fragment");
  refused("token_url", "not a url", TU_CONFIG, "0x20");
  refused("scope", "a\"b", TU_CONFIG, "quote");
  refused("scope", "a\x01" "b", TU_CONFIG, "U+0001");
  refused("scope", "", TU_CONFIG, "empty");
  refused("client_secret", "", TU_CONFIG, "empty");
  refused("client_secret", "two\nlines", TU_CONFIG, "control character");
  refused("client_secret", "\xff\xfe", TU_INVALID_ARGUMENT, "UTF-8");
  refused("client_auth", "jwt", TU_CONFIG, "post or basic");
  refused("params", "scope=x", TU_CONFIG, "scope");
  refused("proxy", "ftp://x", TU_CONFIG, "proxy");
  refused("ca_file", "/no/such/file", TU_CONFIG, "cannot be read");
  refused("client_secret_file", "/no/such/file", TU_CONFIG, "cannot be read");
  refused("client_cert_file", "/no/such/file", TU_CONFIG, "client_key_file");
  refused("refresh_before", "1s", TU_CONFIG, "expiry_margin");
  refused("store", "redis://localhost", TU_CONFIG, "not built");
}

/* The first mistake is reported, NULL included. */
static void null_options(void) {
  tu_error *error = NULL;
  tu_config *config = environment();
  tu_config_set(config, NULL, "x");
  tu_config_set(config, "scopee", "x");
  CHECK(tu_client_new(config, &error) == NULL);
  CHECK_ERROR(error, TU_INVALID_ARGUMENT, "NULL");
  tu_free(config);

  config = environment();
  tu_config_set(config, "scope", NULL);
  CHECK(tu_client_new(config, NULL) == NULL);
  CHECK(tu_client_new(config, &error) == NULL);
  CHECK_ERROR(error, TU_INVALID_ARGUMENT, "\"scope\" is NULL");
  tu_free(config);

  config = tu_config_new(); /* the variables are set, but never loaded */
  CHECK(tu_client_new(config, &error) == NULL);
  CHECK_ERROR(error, TU_CONFIG, "client_id is missing: TRACKUNIT_CLIENT_ID is set, but was not loaded");
  CHECK(tu_client_new(config, &error) == NULL);
  CHECK_ERROR(error, TU_CONFIG, "tu_config_load_env");
  tu_config_set(config, "client_id", "id");
  tu_config_set(config, "client_secret", "secret");
  tu_client *client = tu_client_new(config, &error);
  CHECK(client && tu_token_get(client, NULL, &error) == NULL);
  CHECK_ERROR(error, TU_INVALID_ARGUMENT, "TRACKUNIT_SCOPE is set, but was not loaded");
  tu_free(client);
  tu_free(config);
}

static void null_handles(void) {
  tu_error *error = NULL;
  tu_stats stats;
  size_t length = 0;
  memset(&stats, 0, sizeof stats);
  stats.struct_size = sizeof stats;
  tu_free(NULL);
  tu_config_set(NULL, "scope", "a");
  tu_config_load_env(NULL);
  tu_config_on_event(NULL, NULL, NULL, count_drop);
  tu_config_on_credentials(NULL, NULL, NULL, count_drop);
  CHECK(drops == 2);
  tu_credentials_set(NULL, "a", "b");
  tu_credentials_fail(NULL, "a", NULL, count_drop);
  CHECK(drops == 3);
  drops = 2;
  CHECK(!tu_client_may_send_to(NULL, "https://iris.trackunit.com/"));
  tu_client_api_refused(NULL, NULL);
  CHECK(tu_token_at_hand(NULL, NULL) == 0 && tu_token_serial(NULL) == 0);
  CHECK(tu_token_at_hand_for(NULL, NULL, 1000) == 0);
  tu_watch watch;
  memset(&watch, 0, sizeof watch);
  CHECK(!tu_token_watch(NULL, NULL, NULL) && !tu_token_watch(NULL, NULL, &watch));
  watch.struct_size = sizeof watch;
  CHECK(!tu_token_watch(NULL, NULL, &watch) && !watch.until);
  CHECK(tu_error_cause(NULL) == NULL);
  tu_client_close(NULL);
  tu_client_wake(NULL);
  tu_client_invalidate(NULL, NULL);
  tu_client_invalidate_value(NULL, NULL);
  tu_cancel_trigger(NULL);
  CHECK(tu_token_get(NULL, NULL, &error) == NULL);
  CHECK_ERROR(error, TU_INVALID_ARGUMENT, "NULL");
  CHECK(tu_token_get_with(NULL, NULL, NULL) == NULL);
  CHECK(tu_token_copy(NULL, NULL, NULL, 0, &length, NULL) == TU_INVALID_ARGUMENT);
  CHECK(tu_client_stats(NULL, NULL, &stats, NULL) == TU_INVALID_ARGUMENT);
  CHECK(tu_client_rotate(NULL, "a", "b", NULL) == TU_INVALID_ARGUMENT);
  CHECK(tu_token_get_async(NULL, NULL, NULL, NULL, count_drop, NULL) == TU_INVALID_ARGUMENT);
  CHECK(drops == 3);
  CHECK(strcmp(tu_token_value(NULL), "") == 0 && strcmp(tu_token_bearer(NULL), "") == 0);
  CHECK(strcmp(tu_token_header(NULL), "") == 0 && strcmp(tu_token_scope(NULL), "") == 0);
  CHECK(tu_token_length(NULL) == 0 && tu_token_expires_in_ms(NULL) == 0);
  CHECK(tu_token_fresh_for_ms(NULL) == 0 && tu_token_expires_at_ms(NULL) == 0);
  CHECK(tu_error_status(NULL) == TU_OK && strcmp(tu_error_message(NULL), "") == 0);
  CHECK(tu_error_oauth_code(NULL) == NULL && tu_error_http_status(NULL) == 0);
  CHECK(!tu_error_is_retryable(NULL) && tu_error_retry_after_ms(NULL) == -1);
}

static void names(void) {
  CHECK(strcmp(tu_status_name(TU_OK), "TU_OK") == 0);
  CHECK(strcmp(tu_status_name(TU_INVALID_CLIENT), "TU_INVALID_CLIENT") == 0);
  CHECK(strcmp(tu_status_name(12345), "TU_UNKNOWN") == 0);
  CHECK(strcmp(tu_status_name(-1), "TU_UNKNOWN") == 0);
  CHECK(strcmp(tu_event_kind_name(TU_EVENT_FETCH_STARTED), "TU_EVENT_FETCH_STARTED") == 0);
  CHECK(strcmp(tu_event_kind_name(TU_EVENT_WARNING), "TU_EVENT_WARNING") == 0);
  CHECK(strcmp(tu_event_kind_name(0), "TU_UNKNOWN") == 0);
  CHECK(strcmp(tu_state_name(TU_STATE_EMPTY), "TU_STATE_EMPTY") == 0);
  CHECK(strcmp(tu_state_name(-1), "TU_UNKNOWN") == 0);
  CHECK(tu_version_number() == TU_VERSION_NUMBER);
  CHECK(TU_VERSION_AT_LEAST(0, 1, 0) && !TU_VERSION_AT_LEAST(99, 0, 0));
}

static void views_of_a_token(tu_client *client) {
  tu_error *error = (tu_error *)1; /* must become NULL */
  tu_token *token = tu_token_get(client, NULL, &error);
  CHECK(token != NULL && error == NULL);
  if (!token) return;
  const char *value = tu_token_value(token);
  CHECK(strlen(value) == tu_token_length(token) && tu_token_length(token) > 0);
  CHECK(strncmp(tu_token_bearer(token), "Bearer ", 7) == 0);
  CHECK(strcmp(tu_token_bearer(token) + 7, value) == 0);
  CHECK(strncmp(tu_token_header(token), "Authorization: Bearer ", 22) == 0);
  CHECK(strcmp(tu_token_header(token) + 22, value) == 0);
  CHECK(strcmp(tu_token_scope(token), "asset.view") == 0);
  CHECK(tu_token_expires_in_ms(token) > 1100000 && tu_token_expires_in_ms(token) <= 1200000);
  CHECK(tu_token_fresh_for_ms(token) >= 590000 && tu_token_fresh_for_ms(token) <= 900000);
  CHECK(tu_token_expires_at_ms(token) > 1500000000000);

  tu_token *again = tu_token_get(client, "asset.view  asset.view", NULL);
  CHECK(again && strcmp(tu_token_value(again), value) == 0);
  tu_free(again);
  CHECK(tu_token_serial(token) > 0 && tu_token_at_hand(client, NULL) == tu_token_serial(token));
  CHECK(tu_token_at_hand(client, "never.asked") == 0);
  CHECK(tu_token_at_hand_for(client, NULL, 0) == tu_token_serial(token));
  CHECK(tu_token_at_hand_for(client, NULL, 60 * 1000) == tu_token_serial(token));
  CHECK(tu_token_at_hand_for(client, NULL, tu_token_expires_in_ms(token) + 1) == 0);
  CHECK(tu_token_at_hand_for(client, NULL, -1) == 0);
  CHECK(tu_token_at_hand_for(client, "never.asked", 0) == 0);

  tu_watch watch;
  memset(&watch, 0, sizeof watch);
  watch.struct_size = sizeof watch;
  CHECK(!tu_token_watch(client, "never.asked", &watch) && !watch.until);
  bool watches = tu_token_watch(client, NULL, &watch);
  uint64_t version = watches ? *watch.version : 0;
  CHECK(!watches || (*watch.asked && *watch.until > 0));
#ifdef __linux__
  CHECK(watches);
#endif
#if defined __linux__ && defined __x86_64__
  struct timespec before, seen = {0, 0}, after;
  int (*clock)(clockid_t, struct timespec *) = (int (*)(clockid_t, struct timespec *))watch.clock;
  clock_gettime(CLOCK_BOOTTIME, &before);
  CHECK(!clock || clock(CLOCK_BOOTTIME, &seen) == 0);
  clock_gettime(CLOCK_BOOTTIME, &after);
  CHECK(!clock || (before.tv_sec <= seen.tv_sec && seen.tv_sec <= after.tv_sec));
#endif

  tu_client_invalidate(client, token);
  CHECK(tu_token_at_hand(client, NULL) == 0);
  CHECK(!watches || (*watch.until == 0 && *watch.version != version));
  again = tu_token_get(client, NULL, NULL);
  CHECK(again && strcmp(tu_token_value(again), value) != 0);
  tu_client_invalidate(client, token); /* an old one: nothing happens */
  tu_token *third = tu_token_get(client, NULL, NULL);
  CHECK(third && again && strcmp(tu_token_value(third), tu_token_value(again)) == 0);
  tu_free(third);
  tu_free(again);
  tu_free(token);
}

static void copies(tu_client *client) {
  char buffer[8192], tight[8192];
  size_t length = 0, needed = 0;
  tu_error *error = NULL;
  CHECK(tu_token_copy(client, NULL, buffer, sizeof buffer, &length, &error) == TU_OK);
  CHECK(length == strlen(buffer) && strncmp(buffer, "Bearer ", 7) == 0);
  memset(tight, 'x', sizeof tight);
  CHECK(tu_token_copy(client, NULL, tight, 3, &needed, &error) == TU_INVALID_ARGUMENT);
  CHECK(needed == length && tight[0] == 'x');
  CHECK_ERROR(error, TU_INVALID_ARGUMENT, "bytes");
  CHECK(tu_token_copy(client, NULL, NULL, 100, &needed, NULL) == TU_INVALID_ARGUMENT);
  CHECK(tu_token_copy(client, NULL, tight, length, &needed, NULL) == TU_OK);
  CHECK(memcmp(tight, buffer, length) == 0 && tight[length] == 'x');
  CHECK(tu_token_copy(client, NULL, buffer, sizeof buffer, NULL, NULL) == TU_OK);
}

static void options_of_a_call(tu_client *client) {
  struct {
    tu_get_options known;
    long tail;
  } longer;
  tu_error *error = NULL;
  tu_get_options options = TU_GET_OPTIONS_INIT;
  tu_token *token = tu_token_get_with(client, &options, &error);
  CHECK(token != NULL);
  tu_free(token);
  token = tu_token_get_with(client, NULL, &error);
  CHECK(token != NULL);
  tu_free(token);

  options.struct_size = 0;
  CHECK(tu_token_get_with(client, &options, &error) == NULL);
  CHECK_ERROR(error, TU_INVALID_ARGUMENT, "struct_size");
  memset(&longer, 0, sizeof longer);
  longer.known.struct_size = sizeof longer;
  token = tu_token_get_with(client, &longer.known, &error);
  CHECK(token != NULL);
  tu_free(token);
  longer.tail = 1;
  CHECK(tu_token_get_with(client, &longer.known, &error) == NULL);
  CHECK_ERROR(error, TU_INVALID_ARGUMENT, "does not know");

  options.struct_size = sizeof options;
  options.timeout_ms = -2;
  CHECK(tu_token_get_with(client, &options, &error) == NULL);
  CHECK_ERROR(error, TU_INVALID_ARGUMENT, "timeout_ms is -2: negative values are not allowed, except timeout_ms TU_NO_WAIT (-1)");
  options.timeout_ms = 0;
  options.min_ttl_ms = -1;
  CHECK(tu_token_get_with(client, &options, &error) == NULL);
  CHECK_ERROR(error, TU_INVALID_ARGUMENT, "min_ttl_ms");

  options.min_ttl_ms = 0;
  options.cancel = tu_cancel_new();
  tu_cancel_trigger(options.cancel);
  CHECK(tu_token_get_with(client, &options, &error) == NULL);
  CHECK_ERROR(error, TU_CANCELLED, "cancelled");
  tu_free(options.cancel);
}

static void where_tokens_may_go(tu_client *client) {
  CHECK(tu_client_may_send_to(client, "https://iris.trackunit.com/api"));
  CHECK(tu_client_may_send_to(client, "http://127.0.0.1:8477/api"));
  CHECK(!tu_client_may_send_to(client, "http://iris.trackunit.com/api"));
  CHECK(!tu_client_may_send_to(client, "https://iris.trackunit.com.example/"));
  CHECK(!tu_client_may_send_to(client, "\xff") && !tu_client_may_send_to(client, NULL));
}

static void bad_scopes(tu_client *client) {
  tu_error *error = NULL;
  CHECK(tu_token_get(client, "a\"b", &error) == NULL);
  CHECK_ERROR(error, TU_INVALID_ARGUMENT, "quote");
  CHECK(tu_token_get(client, "\xff", &error) == NULL);
  CHECK_ERROR(error, TU_INVALID_ARGUMENT, "UTF-8");
  CHECK(tu_token_get(client, "", &error) == NULL);
  CHECK_ERROR(error, TU_INVALID_ARGUMENT, "empty");
  CHECK(tu_token_get(client, "not.allowed", &error) == NULL);
  CHECK(strcmp(tu_error_oauth_code(error), "invalid_scope") == 0);
  CHECK(tu_error_http_status(error) == 400 && !tu_error_is_retryable(error));
  CHECK_ERROR(error, TU_INVALID_SCOPE, "not.allowed");
}

/* The config was copied: changing and freeing it has no effect. */
static void config_is_copied(void) {
  tu_config *config = environment();
  tu_client *client = tu_client_new(config, NULL);
  tu_config_set(config, "token_url", "https://nowhere.invalid/token");
  tu_free(config);
  tu_token *token = tu_token_get(client, NULL, NULL);
  CHECK(token != NULL);
  tu_free(client);
  CHECK(tu_token_length(token) > 0); /* a token outlives its client */
  tu_free(token);
}

static void stats_of_a_client(tu_client *client) {
  tu_error *error = NULL;
  struct {
    tu_stats known;
    unsigned char beyond;
  } room;
  memset(&room, 0x55, sizeof room);
  room.known.struct_size = sizeof room.known;
  CHECK(tu_client_stats(client, NULL, &room.known, &error) == TU_OK);
  CHECK(room.known.state == TU_STATE_FRESH && room.known.requests >= 1);
  CHECK(room.known.last_status == TU_OK && room.known.expires_in_ms > 0);
  CHECK(room.beyond == 0x55);
  room.known.struct_size = 0;
  CHECK(tu_client_stats(client, NULL, &room.known, &error) == TU_INVALID_ARGUMENT);
  CHECK_ERROR(error, TU_INVALID_ARGUMENT, "struct_size");
  CHECK(tu_client_stats(client, NULL, NULL, NULL) == TU_INVALID_ARGUMENT);
}

static void closed_clients(void) {
  tu_error *error = NULL;
  tu_client *client = client_with(NULL, NULL, NULL);
  tu_client_close(client);
  tu_client_close(client);
  CHECK(tu_token_get(client, NULL, &error) == NULL);
  CHECK_ERROR(error, TU_CLOSED, "closed");
  CHECK(tu_client_rotate(client, "a", "b", &error) == TU_CLOSED);
  tu_free(error);
  /* With false, a program would send its request without a token instead of seeing the error. */
  CHECK(tu_client_may_send_to(client, "https://iris.trackunit.com/"));
  CHECK(!tu_client_may_send_to(client, "https://evil.example/"));
  tu_free(client);
}

static bool give_nothing(void *user_data, bool refused, tu_credentials *out) {
  (void)user_data, (void)refused, (void)out;
  return false;
}

static bool give_pair(void *user_data, bool refused, tu_credentials *out) {
  (void)user_data, (void)refused;
  tu_credentials_set(out, getenv("TRACKUNIT_CLIENT_ID"), getenv("TRACKUNIT_CLIENT_SECRET"));
  return true;
}

static void credentials_callbacks(void) {
  tu_error *error = NULL;
  drops = 0;
  tu_config *config = environment();
  tu_config_on_credentials(config, give_nothing, NULL, count_drop);
  tu_config_set(config, "fetch_timeout", "2s");
  tu_client *client = tu_client_new(config, NULL);
  CHECK(tu_token_get(client, NULL, &error) == NULL);
  CHECK_ERROR(error, TU_CREDENTIALS, "callback");
  tu_free(client);
  tu_config_on_credentials(config, give_pair, NULL, count_drop);
  client = tu_client_new(config, NULL);
  tu_token *token = tu_token_get(client, NULL, &error);
  CHECK(token != NULL && error == NULL);
  tu_free(token);
  tu_free(client);
  tu_free(config);
}

int main(void) {
  bad_options();
  null_options();
  null_handles();
  names();
  tu_client *client = client_with(NULL, NULL, NULL);
  CHECK(client != NULL);
  views_of_a_token(client);
  copies(client);
  options_of_a_call(client);
  bad_scopes(client);
  where_tokens_may_go(client);
  stats_of_a_client(client);
  tu_free(client);
  config_is_copied();
  closed_clients();
  credentials_callbacks();
  return closing_line();
}
