/* What cgo cannot say in Go: functions as function pointers of C, and a struct that points to memory
 * of Go. And the mailbox: what the library's threads have for Go. Nothing is decided here.
 *
 * No function of Go is ever called from C. Go holds back a call that comes from a thread of C until all
 * inits of the program have ended, so whoever asked for a token in one of them waited for ever. And a
 * function of the program that ran on such a thread could not end its goroutine (runtime.Goexit, as by
 * t.Fatal): there was none. So a goroutine of Go's collects messages here, by a call of C. */
#ifndef TUTOKEN_GO_BRIDGE_H
#define TUTOKEN_GO_BRIDGE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <tu_token.h>

enum {
  /* To be released with free by whoever collects them; the last ones for their handle: */
  TUTOKEN_GO_ANSWER, /* a call has its token or its error */
  TUTOKEN_GO_DROP,   /* the library has let go of a function, or of a cause */
  /* A thread waits for tutoken_go_return: */
  TUTOKEN_GO_CREDENTIALS,
  TUTOKEN_GO_EVENT,
};

typedef struct tutoken_go_message {
  struct tutoken_go_message *next;
  uintptr_t handle; /* the Go value that it is for */
  int kind;
  /* Of an answer, one of them; to be released by tu_free: */
  tu_token *token;
  tu_error *error;
  /* Asked for credentials: */
  bool refused;
  tu_credentials *credentials;
  /* An event: */
  const tu_event *event;
} tutoken_go_message;

/* Everything that has arrived, in order; waits for it. NULL: nothing more is expected, and the
 * goroutine that collects is to end. */
tutoken_go_message *tutoken_go_collect(void);

/* Lets the thread go on that waits for the answer to a message; of no meaning but for
 * TUTOKEN_GO_CREDENTIALS: whether credentials were set. The message is gone then. */
void tutoken_go_return(tutoken_go_message *message, bool given);

/* These three return whether a goroutine that collects is to be started. */

/* Hand the callbacks of the Go value behind `handle` to a configuration. */
bool tutoken_go_on_credentials(tu_config *config, uintptr_t handle);
bool tutoken_go_on_event(tu_config *config, uintptr_t handle);

/* Lets a credentials function fail with the Go error behind `handle`. */
bool tutoken_go_fail(tu_credentials *out, const char *text, uintptr_t handle);
/* The handle that tutoken_go_fail left in an error; 0: none. */
uintptr_t tutoken_go_cause(const tu_error *error);

/* Asks for a token. The answer, if it is there at once, as one that was collected; NULL: it comes, to
 * the Go value behind `handle`, and `*start` says whether a goroutine that collects is to be started. */
tutoken_go_message *tutoken_go_get(tu_client *client, const char *scope, int64_t timeout_ms,
                                   int64_t min_ttl_ms, tu_cancel *cancel, uintptr_t handle,
                                   bool *start);

/* A number that no other thread has at the same time. */
uintptr_t tutoken_go_thread(void);

/* tu_token_at_hand and tu_token_at_hand_for. A pointer to C's memory that comes as a number is not looked
 * up in Go's at each call. */
static inline uint64_t tutoken_go_at_hand(uintptr_t client, const char *scope) {
  return tu_token_at_hand((const tu_client *)client, scope);
}

static inline uint64_t tutoken_go_at_hand_for(uintptr_t client, const char *scope, int64_t min_ttl_ms) {
  return tu_token_at_hand_for((const tu_client *)client, scope, min_ttl_ms);
}

#endif
