#include "bridge.h"

#include "_cgo_export.h"

static bool credentials(void *user_data, bool refused, tu_credentials *out) {
  return tutoken_go_credentials((uintptr_t)user_data, refused, out);
}

static void event(void *user_data, const tu_event *event) {
  tutoken_go_event((uintptr_t)user_data, (tu_event *)event);
}

static void answer(void *user_data, tu_token *token, tu_error *error) {
  tutoken_go_answer((uintptr_t)user_data, token, error);
}

static void drop(void *user_data) {
  tutoken_go_drop((uintptr_t)user_data);
}

void tutoken_go_on_credentials(tu_config *config, uintptr_t handle) {
  tu_config_on_credentials(config, credentials, (void *)handle, drop);
}

void tutoken_go_on_event(tu_config *config, uintptr_t handle) {
  tu_config_on_event(config, event, (void *)handle, drop);
}

void tutoken_go_fail(tu_credentials *out, const char *message, uintptr_t cause) {
  tu_credentials_fail(out, message, (void *)cause, drop);
}

uintptr_t tutoken_go_cause(const tu_error *error) {
  return (uintptr_t)tu_error_cause(error);
}

tu_status tutoken_go_get(tu_client *client, const char *scope, int64_t timeout_ms,
                         int64_t min_ttl_ms, tu_cancel *cancel, uintptr_t call, tu_error **error) {
  tu_get_options options = TU_GET_OPTIONS_INIT;
  options.scope = scope;
  options.timeout_ms = timeout_ms;
  options.min_ttl_ms = min_ttl_ms;
  options.cancel = cancel;
  return tu_token_get_async(client, &options, answer, (void *)call, NULL, error);
}
