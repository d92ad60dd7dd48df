/*
 * Very many waits for one hanging fetch, most of them cancelled one by one in random order: each ends
 * soon after its cancel, and the fetch still serves the others.
 * Once with a thread per wait, once with a callback. Usage: cancels WAITS KEPT MS
 * MS bounds the median time from a cancel to the return of its call.
 */
#include "check.h"
#include "emulator.h"
#include "process.h"

struct wait {
  tu_cancel *cancel;
  tu_status status;
  double cancelled_at, ended_at;
  volatile int ended;
};

static tu_client *client;
static struct wait *waits;
static int *order, count, kept;
static double limit_ms;

static void end(struct wait *wait, tu_token *token, tu_error *error) {
  wait->ended_at = now_ms();
  wait->status = tu_error_status(error);
  if ((token == NULL) != (error != NULL)) wait->status = -1;
  tu_free(token);
  tu_free(error);
  __sync_synchronize();
  wait->ended = 1;
}

static tu_get_options options_of(const struct wait *wait) {
  tu_get_options options = TU_GET_OPTIONS_INIT;
  options.timeout_ms = 120000;
  options.cancel = wait->cancel;
  return options;
}

static void *get(void *place) {
  struct wait *wait = (struct wait *)place;
  tu_get_options options = options_of(wait);
  tu_error *error = NULL;
  tu_token *token = tu_token_get_with(client, &options, &error);
  end(wait, token, error);
  return NULL;
}

static void takes(void *place, tu_token *token, tu_error *error) {
  end((struct wait *)place, token, error);
}

/* Random, but the same in each run. */
static void shuffle(void) {
  unsigned seed = 20;
  for (int i = 0; i < count; i++) order[i] = i;
  for (int i = count - 1; i > 0; i--) {
    int other = rand_r(&seed) % (i + 1), kept_here = order[i];
    order[i] = order[other];
    order[other] = kept_here;
  }
}

static int ended(void) {
  int number = 0;
  for (int i = 0; i < count; i++) number += waits[i].ended;
  return number;
}

static void until_ended(int number) {
  double from = now_ms();
  while (ended() < number && now_ms() - from < 60000) nap_ms(1);
  CHECK(ended() == number);
}

static uint64_t waiting(void) {
  tu_stats stats;
  memset(&stats, 0, sizeof stats);
  stats.struct_size = sizeof stats;
  tu_client_stats(client, NULL, &stats, NULL);
  return stats.waits;
}

/* With all waiting: cancels most, lets the fetch end, and checks the outcome of each. */
static void cancel_most(const char *what) {
  int cancelled = count - kept;
  double *took = (double *)calloc((size_t)cancelled, sizeof *took);
  while (waiting() < (uint64_t)count) nap_ms(1);
  CHECK(ended() == 0);
  for (int i = 0; i < cancelled; i++) {
    waits[order[i]].cancelled_at = now_ms();
    tu_cancel_trigger(waits[order[i]].cancel);
  }
  until_ended(cancelled);
  CHECK(clear_faults());
  until_ended(count);
  int other = 0;
  for (int i = 0; i < count; i++) {
    struct wait *wait = &waits[order[i]];
    other += wait->status != (i < cancelled ? TU_CANCELLED : TU_OK);
    if (i < cancelled) took[i] = wait->ended_at - wait->cancelled_at;
  }
  qsort(took, (size_t)cancelled, sizeof *took, ascending);
  printf("%d %s cancelled: median %.2f ms, slowest %.2f ms; %d served, %d with another outcome\n",
         cancelled, what, took[cancelled / 2], took[cancelled - 1], kept, other);
  CHECK(other == 0);
  CHECK(took[cancelled / 2] <= limit_ms);
  CHECK(requests_to("token") == 1);
  free(took);
}

/* A client without a token, an emulator that delays its answer, and waits not yet started. */
static void begin(void) {
  tu_config *config = tu_config_new();
  tu_config_load_env(config);
  tu_config_set(config, "request_timeout", "120s");
  tu_config_set(config, "fetch_timeout", "120s");
  client = tu_client_new(config, NULL);
  tu_free(config);
  CHECK(client != NULL);
  CHECK(emulator("DELETE", "/_emulator/journal", "", NULL) / 100 == 2);
  CHECK(set_fault("{\"delay\":\"120s\"}"));
  memset(waits, 0, (size_t)count * sizeof *waits);
  for (int i = 0; i < count; i++) waits[i].cancel = tu_cancel_new();
}

static void finish(void) {
  for (int i = 0; i < count; i++) tu_free(waits[i].cancel);
  tu_free(client);
}

static void threads(void) {
  pthread_t *ids = (pthread_t *)calloc((size_t)count, sizeof *ids);
  pthread_attr_t small;
  pthread_attr_init(&small);
  pthread_attr_setstacksize(&small, 128 * 1024);
  begin();
  for (int i = 0; i < count; i++) {
    if (pthread_create(&ids[i], &small, get, &waits[i]) != 0) abort(); /* cannot join the rest */
  }
  cancel_most("waiting threads");
  for (int i = 0; i < count; i++) pthread_join(ids[i], NULL);
  finish();
  pthread_attr_destroy(&small);
  free(ids);
}

static void functions(void) {
  begin();
  for (int i = 0; i < count; i++) {
    tu_get_options options = options_of(&waits[i]);
    tu_token_get_async(client, &options, takes, &waits[i], NULL, NULL);
  }
  cancel_most("functions");
  finish();
}

int main(int words_count, char **words) {
  if (words_count != 4) return 2;
  alarm(300);
  count = atoi(words[1]);
  kept = atoi(words[2]);
  limit_ms = atof(words[3]);
  waits = (struct wait *)calloc((size_t)count, sizeof *waits);
  order = (int *)calloc((size_t)count, sizeof *order);
  shuffle();
  threads();
  functions();
  free(order);
  free(waits);
  return closing_line();
}
