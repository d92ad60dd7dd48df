/* The ways to get a token whose growth is measured, and rounds of calls of them. */
#ifndef WAYS_H
#define WAYS_H

#include <stdatomic.h>

#include "../bench.h"

enum { MOST_BYTES = 32768, MOST_THREADS = 64 };

/* What one call is made with. */
struct call {
  tu_client *client;
  const char *scope;
  char *buffer; /* of MOST_BYTES */
};

static inline void copy(struct call *call) {
  size_t length;
  if (tu_token_copy(call->client, call->scope, call->buffer, MOST_BYTES, &length, NULL)) abort();
}

static inline void get_and_free(struct call *call) {
  tu_token *token = tu_token_get(call->client, call->scope, NULL);
  call->buffer[0] = tu_token_bearer(token)[0];
  tu_free(token);
}

/* The cache made by hand: a mutex, a clock, a copy. */
static pthread_mutex_t by_hand_lock = PTHREAD_MUTEX_INITIALIZER;
static char by_hand_token[MOST_BYTES];
static size_t by_hand_length;
static double by_hand_until;

static inline void by_hand(struct call *call) {
  pthread_mutex_lock(&by_hand_lock);
  int fresh = nanoseconds_of(CLOCK_BOOTTIME) < by_hand_until;
  if (fresh) memcpy(call->buffer, by_hand_token, by_hand_length + 1);
  pthread_mutex_unlock(&by_hand_lock);
  if (!fresh) abort();
}

static inline void fill_by_hand(tu_client *client) {
  tu_error *error = NULL;
  must(!tu_token_copy(client, NULL, by_hand_token, MOST_BYTES, &by_hand_length, &error), "no token", error);
  by_hand_until = nanoseconds_of(CLOCK_BOOTTIME) + 3e12;
}

#endif
