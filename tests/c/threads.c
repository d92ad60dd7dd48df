/*
 * Many threads on one client. Usage: threads N STATUS MS
 * N threads ask a cold client at once; each must get STATUS (0: a token) within MS milliseconds.
 * The caller checks the number of requests in the emulator's journal.
 */
#include "check.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

static tu_client *client;
static pthread_barrier_t start;
static tu_status expected;
static long limit_ms;

struct result {
  tu_status status;
  long ms;
};

static long now_ms(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (long)(time.tv_sec * 1000 + time.tv_nsec / 1000000);
}

static void *get(void *place) {
  struct result *result = (struct result *)place;
  tu_error *error = NULL;
  pthread_barrier_wait(&start);
  long from = now_ms();
  tu_token *token = tu_token_get(client, NULL, &error);
  result->ms = now_ms() - from;
  result->status = tu_error_status(error);
  if ((token == NULL) != (error != NULL)) result->status = -1;
  tu_free(token);
  tu_free(error);
  return NULL;
}

int main(int count, char **words) {
  if (count != 4) return 2;
  unsigned threads = (unsigned)atoi(words[1]);
  expected = atoi(words[2]);
  limit_ms = atol(words[3]);
  pthread_t *ids = (pthread_t *)calloc(threads, sizeof *ids);
  struct result *results = (struct result *)calloc(threads, sizeof *results);
  pthread_barrier_init(&start, NULL, threads);
  client = tu_client_new(NULL, NULL);
  CHECK(client != NULL);
  for (unsigned i = 0; i < threads; i++) pthread_create(&ids[i], NULL, get, &results[i]);
  long slowest = 0;
  for (unsigned i = 0; i < threads; i++) {
    pthread_join(ids[i], NULL);
    CHECK(results[i].status == expected);
    if (results[i].ms > slowest) slowest = results[i].ms;
  }
  fprintf(stderr, "%u threads, slowest %ld ms\n", threads, slowest);
  CHECK(slowest <= limit_ms);
  tu_free(client);
  pthread_barrier_destroy(&start);
  free(results);
  free(ids);
  return closing_line();
}
