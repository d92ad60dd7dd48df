/*
 * Calls of a cell (cells.h) on its client, with what must hold for each whatever is wrong: it returns
 * within its own time limit, and TU_TIMEOUT not before; it hands out a valid token, and no error while
 * there is one; an accepted function is called once and dropped once.
 */
#ifndef CALLS_H
#define CALLS_H

#include "cells.h"

/* SLACK_MS: far more than a busy machine adds to a call, and far less than what hangs. */
enum { SHORT_MS = 400, SLACK_MS = 8000, ON_ITS_WAY_MS = 3000, LONG_MS = 30000, MOST_CALLS = 16 };

static struct cell *this_cell;
static tu_client *client;
/* Every error must be worth another try. */
static int only_retryable;
/* How long the emulator's tokens live. */
static long life_ms = 1200000;

static inline long slack(void) { return SLACK_MS * slowdown(); }

static inline void check_time(double from, long limit_ms) {
  double over = now_ms() - from - (double)limit_ms;
  if (over > this_cell->figures->longest_ms) this_cell->figures->longest_ms = over;
  CHECK(over < (double)slack());
}

static inline void note(const char *what, const tu_error *error) {
  snprintf(this_cell->figures->note, sizeof this_cell->figures->note, "%s: %s", what,
           tu_status_name(tu_error_status(error)));
}

static inline void check_error(const tu_error *error, double from, long limit_ms) {
  int is_right = tu_error_is_retryable(error) || !only_retryable;
  if (!is_right)
    fprintf(stderr, "%s, %s: found %s: %s\n", this_cell->row, this_cell->column,
            tu_status_name(tu_error_status(error)), tu_error_message(error));
  CHECK(is_right);
  CHECK(*tu_error_message(error));
  if (tu_error_status(error) == TU_TIMEOUT) CHECK(now_ms() - from > (double)limit_ms - 5);
}

/* It was valid when it was handed out, at `from` or later. The time left is rounded down. */
static inline void check_token(const tu_token *token, double from) {
  double left_ms = (double)tu_token_expires_in_ms(token) + 1;
  CHECK(left_ms + now_ms() - from > 0);
}

static inline tu_stats stats_of(void) {
  tu_stats stats;
  memset(&stats, 0, sizeof stats);
  stats.struct_size = sizeof stats;
  double from = now_ms();
  tu_client_stats(client, NULL, &stats, NULL);
  check_time(from, 0);
  return stats;
}

/* Whether there was a token. */
static inline int get(long timeout_ms, long min_ttl_ms) {
  if (!client) return 0;
  tu_get_options options = TU_GET_OPTIONS_INIT;
  tu_error *error = NULL;
  options.timeout_ms = timeout_ms;
  options.min_ttl_ms = min_ttl_ms;
  double looked = now_ms();
  int64_t before = stats_of().expires_in_ms;
  double from = now_ms();
  tu_token *token = tu_token_get_with(client, &options, &error);
  check_time(from, timeout_ms > 0 ? timeout_ms : 0);
  int there_is_one = token != NULL;
  if (there_is_one) {
    check_token(token, from);
  } else {
    check_error(error, from, timeout_ms);
    /* The token that was there before has expired or is about to. */
    CHECK((double)before < now_ms() - looked + 100);
    /* One that is there now arrived after the call; on a busy machine it was requested long before. */
    int64_t left = stats_of().expires_in_ms;
    CHECK(left < 100 || (double)left > (double)life_ms - (now_ms() - from) - ON_ITS_WAY_MS);
    note("get", error);
  }
  tu_free(token);
  tu_free(error);
  return there_is_one;
}

/* A token that must be fetched. */
static inline int get_another(long timeout_ms) {
  tu_token *token = tu_token_get(client, NULL, NULL);
  tu_client_invalidate(client, token);
  tu_free(token);
  return get(timeout_ms, 0);
}

/* How long that took. */
static inline double until_served(void) {
  double from = now_ms();
  while (client && !get(2000, 0) && now_ms() - from < LONG_MS) nap_ms(20);
  double took = now_ms() - from;
  CHECK(took < LONG_MS);
  return took;
}

/* --- asynchronous calls --------------------------------------------------------------------- */

struct call {
  int accepted, calls, drops;
  double from;
  long limit_ms;
};

static struct call calls[MOST_CALLS];
static int asked;

static inline int now_of(int *number) { return __atomic_load_n(number, __ATOMIC_SEQ_CST); }
static inline void count_one(int *number) { __atomic_add_fetch(number, 1, __ATOMIC_SEQ_CST); }

static inline void takes(void *place, tu_token *token, tu_error *error) {
  struct call *call = (struct call *)place;
  if (token) check_token(token, call->from);
  else if (tu_error_status(error) == TU_TIMEOUT)
    CHECK(now_ms() - call->from > (double)call->limit_ms - 5);
  tu_free(token);
  tu_free(error);
  count_one(&call->calls);
}

static inline void drops(void *place) { count_one(&((struct call *)place)->drops); }

static inline void ask(long timeout_ms, tu_cancel *cancel) {
  if (!client) return;
  tu_get_options options = TU_GET_OPTIONS_INIT;
  struct call *call = &calls[asked++];
  tu_error *error = NULL;
  options.timeout_ms = timeout_ms;
  options.cancel = cancel;
  call->from = now_ms();
  call->limit_ms = timeout_ms;
  call->accepted = tu_token_get_async(client, &options, takes, call, drops, &error) == TU_OK;
  check_time(call->from, 0);
  if (!call->accepted) {
    check_error(error, call->from, timeout_ms);
    CHECK(now_of(&call->drops) == 1);
  }
  tu_free(error);
}

/* Waits until all accepted calls have ended, at most `limit_ms`; then none may end again. */
static inline void all_are_answered(double from, long limit_ms) {
  for (int i = 0; i < asked; i++) {
    while (!now_of(&calls[i].drops) && now_ms() - from < LONG_MS) nap_ms(1);
  }
  if (asked) check_time(from, limit_ms);
  nap_ms(asked ? 50 : 0);
  for (int i = 0; i < asked; i++) {
    CHECK(now_of(&calls[i].calls) == calls[i].accepted);
    CHECK(now_of(&calls[i].drops) == 1);
  }
}

/* --- the end -------------------------------------------------------------------------------- */

static inline void release(void) {
  double from = now_ms();
  tu_client_close(client);
  tu_free(client);
  check_time(from, 0);
  client = NULL;
}

#endif
