/*
 * Everything at once on one client, for ThreadSanitizer: threads get, copy and await tokens of 2 s, refuse them, read
 * counters, rotate the credentials and cancel, while others make and close clients of their own.
 * Usage: races SECONDS
 */
#include "check.h"
#include "emulator.h"

#include <pthread.h>
#include <time.h>

#define EACH 2

static tu_client *client;
static tu_config *config;
static int is_over, events, answers, drops, sent;

static int of(int *number) { return __atomic_load_n(number, __ATOMIC_SEQ_CST); }
static void count(int *number) { __atomic_add_fetch(number, 1, __ATOMIC_SEQ_CST); }

static void take_event(void *place, const tu_event *event) {
  if (*event->message) count((int *)place);
}

static void take_token(void *place, tu_token *token, tu_error *error) {
  if (token ? tu_token_expires_in_ms(token) >= 0 : tu_error_status(error) != TU_OK) count((int *)place);
  tu_free(token);
  tu_free(error);
}

static void drop_token(void *place) {
  (void)place;
  count(&drops);
}

/* Each returns the number of calls that went wrong. */
static int get(void) {
  tu_token *token = tu_token_get(client, NULL, NULL);
  int is_good = token && strncmp(tu_token_bearer(token), "Bearer ", 7) == 0;
  tu_free(token);
  return !is_good;
}

static int copy(void) {
  char text[512];
  size_t length = 0;
  tu_status status = tu_token_copy(client, "site.view", text, sizeof text, &length, NULL);
  return status != TU_OK || strlen(text) != length;
}

static int await(void) {
  tu_get_options options = TU_GET_OPTIONS_INIT;
  options.cancel = tu_cancel_new();
  options.timeout_ms = 500;
  count(&sent);
  int is_refused =
      tu_token_get_async(client, &options, take_token, &answers, drop_token, NULL) != TU_OK;
  tu_cancel_trigger(options.cancel);
  tu_free(options.cancel);
  return is_refused;
}

static int refuse(void) {
  tu_token *token = tu_token_get(client, NULL, NULL);
  tu_client_invalidate(client, token);
  tu_free(token);
  nanosleep(&(struct timespec){.tv_nsec = 300000000}, NULL);
  return 0;
}

static int look(void) {
  tu_stats stats;
  memset(&stats, 0, sizeof stats);
  stats.struct_size = sizeof stats;
  tu_token_at_hand(client, "site.view");
  tu_client_wake(client);
  return tu_client_stats(client, NULL, &stats, NULL) != TU_OK;
}

static int rotate(void) {
  nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
  const char *id = getenv("TRACKUNIT_CLIENT_ID"), *secret = getenv("TRACKUNIT_CLIENT_SECRET");
  return tu_client_rotate(client, id, secret, NULL) != TU_OK;
}

static int renew(void) {
  tu_client *own = tu_client_new(config, NULL);
  tu_token *token = tu_token_get(own, NULL, NULL);
  tu_client_close(own);
  tu_free(own);
  int is_good = token != NULL;
  tu_free(token);
  return !is_good;
}

typedef int (*act)(void);

static void *repeats(void *place) {
  act does = *(act *)place;
  long wrong = 0;
  while (!of(&is_over)) wrong += does();
  return (void *)wrong;
}

int main(int words_given, char **words) {
  if (words_given != 2) return 2;
  act acts[] = {get, copy, await, refuse, look, rotate, renew};
  enum { ACTS = sizeof acts / sizeof *acts };
  pthread_t threads[ACTS * EACH];
  CHECK(set_fault("{\"expires_in\":2,\"count\":1000000}"));
  config = tu_config_new();
  tu_config_load_env(config);
  tu_config_on_event(config, take_event, &events, NULL);
  client = tu_client_new(config, NULL);
  CHECK(client != NULL);
  for (int i = 0; i < ACTS * EACH; i++) pthread_create(&threads[i], NULL, repeats, &acts[i % ACTS]);
  nanosleep(&(struct timespec){.tv_sec = atoi(words[1])}, NULL);
  __atomic_store_n(&is_over, 1, __ATOMIC_SEQ_CST);
  for (int i = 0; i < ACTS * EACH; i++) {
    void *wrong;
    pthread_join(threads[i], &wrong);
    /* A get may meet the refusal of its token by another thread; nothing else fails. */
    if (wrong) fprintf(stderr, "act %d: %ld calls went wrong\n", i % ACTS, (long)wrong);
  }
  tu_client_close(client);
  tu_free(client);
  tu_free(config);
  for (int i = 0; i < 1000 && of(&drops) < of(&sent); i++)
    nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
  CHECK(of(&answers) == of(&sent));
  CHECK(of(&drops) == of(&sent));
  CHECK(of(&events) > 0);
  fprintf(stderr, "%d asynchronous gets, %d events\n", of(&sent), of(&events));
  return closing_line();
}
