/*
 * A program of the baseline's time: built against the baseline's header, run with today's library. It uses every function
 * and struct of that header, so it changes only when the baseline does. Needs the emulator's TRACKUNIT_* variables.
 */
#include "check.h"

#include <pthread.h>
#include <stdlib.h>

static int drops, events, asked;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;

static void add(int *count) {
  pthread_mutex_lock(&lock);
  ++*count;
  pthread_cond_broadcast(&changed);
  pthread_mutex_unlock(&lock);
}

static void wait_for(const int *count, int value) {
  pthread_mutex_lock(&lock);
  while (*count < value) pthread_cond_wait(&changed, &lock);
  pthread_mutex_unlock(&lock);
}

static void on_drop(void *user_data) {
  (void)user_data;
  add(&drops);
}

static void on_event(void *user_data, const tu_event *event) {
  CHECK(event->struct_size >= sizeof *event);
  CHECK(strcmp(tu_event_kind_name(event->kind), "TU_UNKNOWN") != 0);
  CHECK(event->client && event->scope && event->message && event->fingerprint);
  CHECK(event->severity >= TU_SEVERITY_DEBUG && event->duration_ms >= 0 && event->attempt >= 0);
  CHECK(event->http_status == 0 || event->http_status == 200);
  CHECK(event->status == TU_OK && event->wait_ms >= -1);
  add((int *)user_data);
}

static bool on_credentials(void *user_data, bool refused, tu_credentials *out) {
  CHECK(!refused);
  add((int *)user_data);
  tu_credentials_set(out, getenv("TRACKUNIT_CLIENT_ID"), getenv("TRACKUNIT_CLIENT_SECRET"));
  return true;
}

static bool no_credentials(void *user_data, bool refused, tu_credentials *out) {
  (void)refused;
  tu_credentials_fail(out, "none here", user_data, on_drop);
  return false;
}

static void on_token(void *user_data, tu_token *token, tu_error *error) {
  CHECK(token && !error);
  tu_free(token);
  tu_free(error);
  add((int *)user_data);
}

static void versions(void) {
  CHECK(tu_version_number() >= TU_VERSION_NUMBER && TU_VERSION_AT_LEAST(0, 1, 0));
  CHECK(tu_version() && *tu_version());
}

static void names(void) {
  CHECK(strcmp(tu_status_name(TU_INVALID_CLIENT), "TU_INVALID_CLIENT") == 0);
  CHECK(strcmp(tu_event_kind_name(TU_EVENT_ROTATED), "TU_EVENT_ROTATED") == 0);
  CHECK(strcmp(tu_state_name(TU_STATE_HARD), "TU_STATE_HARD") == 0);
}

static void a_token(tu_client *client) {
  tu_error *error = NULL;
  tu_token *token = tu_token_get(client, NULL, &error);
  CHECK(token && !error);
  CHECK(strncmp(tu_token_header(token), "Authorization: Bearer ", 22) == 0);
  CHECK(strcmp(tu_token_header(token) + 22, tu_token_value(token)) == 0);
  CHECK(strcmp(tu_token_bearer(token) + 7, tu_token_value(token)) == 0);
  CHECK(strlen(tu_token_value(token)) == tu_token_length(token));
  CHECK(*tu_token_scope(token) && tu_token_expires_in_ms(token) > 0);
  CHECK(tu_token_fresh_for_ms(token) > 0 && tu_token_expires_at_ms(token) > 0);
  CHECK(tu_token_serial(token) == tu_token_at_hand(client, NULL));
  CHECK(tu_token_serial(token) == tu_token_at_hand_for(client, NULL, 1000));

  tu_get_options options = TU_GET_OPTIONS_INIT;
  options.timeout_ms = TU_NO_WAIT;
  options.min_ttl_ms = 1000;
  options.cancel = tu_cancel_new();
  tu_token *second = tu_token_get_with(client, &options, NULL);
  CHECK(second && tu_token_serial(second) == tu_token_serial(token));

  char buffer[8192];
  size_t length = 0;
  CHECK(tu_token_copy(client, NULL, buffer, sizeof buffer, &length, NULL) == TU_OK);
  CHECK(strcmp(buffer, tu_token_bearer(token)) == 0 && length == strlen(buffer));

  int answers = 0;
  CHECK(tu_token_get_async(client, &options, on_token, &answers, on_drop, &error) == TU_OK);
  wait_for(&answers, 1);

  tu_client_invalidate(client, token);
  CHECK(tu_token_at_hand(client, NULL) == 0);
  tu_cancel_trigger(options.cancel);
  options.timeout_ms = 0;
  CHECK(tu_token_get_with(client, &options, &error) == NULL);
  CHECK_ERROR(error, TU_CANCELLED, "");
  tu_free(options.cancel);
  tu_free(second);
  tu_free(token);
}

static void a_client(tu_client *client) {
  tu_error *error = NULL;
  CHECK(tu_client_may_send_to(client, "https://iris.trackunit.com/"));
  CHECK(!tu_client_may_send_to(client, "https://iris.example/"));
  tu_client_api_refused(client, "https://iris.trackunit.com/");
  tu_client_invalidate_value(client, "none of its tokens");
  tu_client_wake(client);
  CHECK(tu_client_rotate(client, getenv("TRACKUNIT_CLIENT_ID"), getenv("TRACKUNIT_CLIENT_SECRET"), NULL) == TU_OK);
  tu_stats stats;
  stats.struct_size = sizeof stats;
  CHECK(tu_client_stats(client, NULL, &stats, &error) == TU_OK);
  CHECK(stats.struct_size == sizeof stats && stats.last_status == TU_OK && stats.requests >= 1);
  CHECK(stats.state >= TU_STATE_EMPTY && stats.state <= TU_STATE_EXPIRED && stats.failures == 0);
  CHECK(stats.expires_in_ms >= 0 && stats.next_request_in_ms >= 0 && stats.last_fetch_ms >= 0);
}

static void failures(void) {
  static int cause;
  tu_error *error = NULL;
  tu_config *config = tu_config_new();
  tu_config_load_env(config);
  tu_config_on_credentials(config, no_credentials, &cause, NULL);
  tu_client *client = tu_client_new(config, NULL);
  int before = drops;
  CHECK(tu_token_get(client, NULL, &error) == NULL);
  CHECK(tu_error_cause(error) == &cause && tu_error_http_status(error) == 0);
  CHECK(tu_error_oauth_code(error) == NULL && tu_error_retry_after_ms(error) >= -1);
  CHECK(tu_error_is_retryable(error));
  CHECK(tu_error_status(error) == TU_CREDENTIALS && strstr(tu_error_message(error), "none here"));
  tu_free(error);
  tu_free(client);
  wait_for(&drops, before + 1);
  tu_free(config);
}

int main(void) {
  tu_error *error = NULL;
  tu_config *config = tu_config_new();
  versions();
  names();
  tu_config_load_env(config);
  tu_config_set(config, "name", "an old program");
  tu_config_on_event(config, on_event, &events, on_drop);
  tu_config_on_credentials(config, on_credentials, &asked, on_drop);
  tu_client *client = tu_client_new(config, &error);
  CHECK(client && !error);
  tu_free(config);
  a_token(client);
  a_client(client);
  tu_client_close(client);
  CHECK(tu_token_get(client, NULL, &error) == NULL);
  CHECK_ERROR(error, TU_CLOSED, "");
  tu_client_drop_functions(client);
  wait_for(&drops, 3); /* of the event, credentials and token functions */
  CHECK(asked >= 1 && events >= 2);
  tu_free(client);
  failures();
  return closing_line();
}
