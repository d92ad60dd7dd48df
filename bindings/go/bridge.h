/* What cgo cannot say in Go: functions of Go as function pointers of C, handles as void pointers,
 * and a struct that points to memory of Go. Nothing is decided here. */
#ifndef TUTOKEN_GO_BRIDGE_H
#define TUTOKEN_GO_BRIDGE_H

#include <stdbool.h>
#include <stdint.h>
#include <tu_token.h>

/* Hands the callbacks of the Go value behind `handle` to a configuration. */
void tutoken_go_on_credentials(tu_config *config, uintptr_t handle);
void tutoken_go_on_event(tu_config *config, uintptr_t handle);

/* Lets a credentials function fail with the Go error behind `cause`. */
void tutoken_go_fail(tu_credentials *out, const char *message, uintptr_t cause);
/* The handle that tutoken_go_fail left in an error; 0: none. */
uintptr_t tutoken_go_cause(const tu_error *error);

/* tu_token_at_hand. A pointer to C's memory that comes as a number is not looked up in Go's at each
 * call. */
static inline uint64_t tutoken_go_at_hand(uintptr_t client, const char *scope) {
  return tu_token_at_hand((const tu_client *)client, scope);
}

/* Asks for a token; the answer goes to the Go value behind `call`. */
tu_status tutoken_go_get(tu_client *client, const char *scope, int64_t timeout_ms,
                         int64_t min_ttl_ms, tu_cancel *cancel, uintptr_t call, tu_error **error);

#endif
