/* What cgo cannot express in Go: C function pointers, and a struct that points to Go memory. Also the
 * mailbox, which carries messages from the library's threads to Go. There is no policy here.
 *
 * C never calls a Go function. The Go runtime blocks calls from C threads until all init functions of
 * the program have run, so a token requested in an init function would never arrive. And a callback
 * running on a C thread could not end its goroutine (runtime.Goexit, as t.Fatal does). Instead, a
 * goroutine collects messages from here by calling C. */
#ifndef TUTOKEN_GO_BRIDGE_H
#define TUTOKEN_GO_BRIDGE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <tu_token.h>

enum {
  /* Freed by the collector with free; each is the last message for its handle: */
  TUTOKEN_GO_ANSWER, /* the token or the error of a call */
  TUTOKEN_GO_DROP,   /* the library has released a callback or a cause */
  /* The sending thread waits for tutoken_go_return: */
  TUTOKEN_GO_CREDENTIALS,
  TUTOKEN_GO_EVENT,
};

typedef struct tutoken_go_message {
  struct tutoken_go_message *next;
  uintptr_t handle; /* the Go value the message is for */
  int kind;
  /* TUTOKEN_GO_ANSWER: one of the two, to be freed with tu_free */
  tu_token *token;
  tu_error *error;
  /* TUTOKEN_GO_CREDENTIALS: */
  bool refused;
  tu_credentials *credentials;
  /* TUTOKEN_GO_EVENT: */
  const tu_event *event;
} tutoken_go_message;

/* Waits for messages and returns all that have arrived, in order. NULL: no more are expected, and the
 * collecting goroutine must end. */
tutoken_go_message *tutoken_go_collect(void);

/* Releases the thread that waits for the answer to a message, which is invalid afterwards. `given`
 * says whether credentials were set; it matters for TUTOKEN_GO_CREDENTIALS only. */
void tutoken_go_return(tutoken_go_message *message, bool given);

/* The next three return whether the caller must start the collecting goroutine. */

/* Register the callbacks of the Go value behind `handle` with a configuration. */
bool tutoken_go_on_credentials(tu_config *config, uintptr_t handle);
bool tutoken_go_on_event(tu_config *config, uintptr_t handle);

/* Fails a credentials callback with the Go error behind `handle`. */
bool tutoken_go_fail(tu_credentials *out, const char *text, uintptr_t handle);
/* The handle that tutoken_go_fail stored in an error; 0: none. */
uintptr_t tutoken_go_cause(const tu_error *error);

/* Requests a token. Returns the answer, like a collected message, if it is available at once. Otherwise
 * returns NULL: the answer will be sent to the Go value behind `handle`, and `*start` says whether the
 * caller must start the collecting goroutine. */
tutoken_go_message *tutoken_go_get(tu_client *client, const char *scope, int64_t timeout_ms,
                                   int64_t min_ttl_ms, tu_cancel *cancel, uintptr_t handle,
                                   bool *start);

/* A number that identifies the calling thread among the running ones. */
uintptr_t tutoken_go_thread(void);

/* tu_token_at_hand and tu_token_at_hand_for. The client is passed as a number because cgo would check a
 * pointer against Go's memory at each call. */
static inline uint64_t tutoken_go_at_hand(uintptr_t client, const char *scope) {
  return tu_token_at_hand((const tu_client *)client, scope);
}

static inline uint64_t tutoken_go_at_hand_for(uintptr_t client, const char *scope, int64_t min_ttl_ms) {
  return tu_token_at_hand_for((const tu_client *)client, scope, min_ttl_ms);
}

/* What tu_token_watch says of a scope, with the version and the forks of the token whose serial
 * tutoken_go_watch returns. */
typedef struct tutoken_go_watched {
  tu_watch at;
  uint64_t version;
  uint32_t forks;
} tutoken_go_watched;

/* The serial of the current token, which can be watched from now on; 0: none. */
uint64_t tutoken_go_watch(const tu_client *client, const char *scope, tutoken_go_watched *seen);

#endif
