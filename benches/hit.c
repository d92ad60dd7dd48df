/*
 * Compares the hot path with a hand-written cache (a mutex, a clock, a copy) in one interleaved run of
 * many short rounds. Prints the median nanoseconds per call, and the ratio.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <tu_token.h>

#include "samples.h"

enum { ROUNDS = 31, CALLS = 200000, MAX_THREADS = 2 };

static tu_client *client;

/* The hand-written cache. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char cached[4096];
static size_t cached_length;
static long long cached_until;

static long long boot_ns(void) {
  struct timespec time;
  clock_gettime(CLOCK_BOOTTIME, &time);
  return (long long)time.tv_sec * 1000000000 + time.tv_nsec;
}

static int by_hand(char *buffer) {
  pthread_mutex_lock(&lock);
  int fresh = boot_ns() < cached_until;
  if (fresh) memcpy(buffer, cached, cached_length + 1);
  pthread_mutex_unlock(&lock);
  return fresh;
}

/* Of two clients: one knows a single named scope, the other this many. */
enum { NAMES = 100 };

static tu_client *of_many;
static char names[NAMES][16];
static _Thread_local unsigned asked;

static int copied(tu_client *from, const char *scope, char *buffer) {
  size_t length;
  return tu_token_copy(from, scope, buffer, 4096, &length, NULL) == TU_OK;
}

static int got(tu_client *from, const char *scope, char *buffer) {
  tu_token *token = tu_token_get(from, scope, NULL);
  buffer[0] = tu_token_bearer(token)[0];
  tu_free(token);
  return 1;
}

static int copy(char *buffer) { return copied(client, NULL, buffer); }
static int copy_named(char *buffer) { return copied(client, names[7], buffer); }
static int copy_of_many(char *buffer) { return copied(of_many, names[7], buffer); }
static int copy_in_turn(char *buffer) { return copied(of_many, names[asked++ % NAMES], buffer); }
static int get(char *buffer) { return got(client, NULL, buffer); }
static int get_named(char *buffer) { return got(client, names[7], buffer); }
static int get_of_many(char *buffer) { return got(of_many, names[7], buffer); }
static int get_in_turn(char *buffer) { return got(of_many, names[asked++ % NAMES], buffer); }

/* Fetches the tokens, so that every call below finds one. */
static int prepare(tu_error **error) {
  client = tu_client_new(NULL, error);
  if (!client || tu_token_copy(client, NULL, cached, sizeof cached, &cached_length, error)) return 0;
  of_many = tu_client_new(NULL, error);
  for (int i = 0; of_many && i < NAMES; i++) {
    snprintf(names[i], sizeof names[i], "scope.%d", i);
    tu_free(tu_token_get(of_many, names[i], error));
    if (*error) return 0;
  }
  if (of_many) tu_free(tu_token_get(client, names[7], error));
  return !*error;
}

typedef int (*way)(char *buffer);

/* The same through the C++ header: benches/hit.cpp. */
int cpp_take(tu_client *client);
int cpp_copy(char *buffer);
int cpp_get(char *buffer);

/* Where in a page the buffer and the allocated token are changes a call by some nanoseconds, for every way: copies
 * that cross cache lines, and loads that the processor takes for loads of what was just stored. So each round has
 * another place. */
enum { PAGE = 4096 };
static size_t place_in_round(int round) { return (size_t)round * 25 % (PAGE / 16) * 16; }

struct work {
  way way;
  size_t place;
  atomic_int *missing; /* threads that are not ready yet */
  double ns_per_call;
};

static void *repeat(void *place) {
  struct work *work = place;
  char buffers[2 * PAGE], *buffer = buffers + work->place, *filler = malloc(PAGE + work->place);
  /* Spin: threads sleeping at a barrier would wake one after the other, on one processor. */
  atomic_fetch_sub(work->missing, 1);
  while (atomic_load(work->missing) > 0) continue;
  long long from = boot_ns();
  for (int i = 0; i < CALLS; i++) {
    if (!work->way(buffer)) abort();
    __asm__ volatile("" ::"r"(buffer) : "memory");
  }
  work->ns_per_call = (double)(boot_ns() - from) / CALLS;
  free(filler);
  return NULL;
}

/* The result of the slowest thread. */
static double ns_per_call(way way, int threads, size_t place) {
  pthread_t ids[MAX_THREADS];
  struct work works[MAX_THREADS];
  atomic_int missing = threads;
  for (int i = 0; i < threads; i++) {
    works[i] = (struct work){way, place, &missing, 0};
    pthread_create(&ids[i], NULL, repeat, &works[i]);
  }
  double most = 0;
  for (int i = 0; i < threads; i++) {
    pthread_join(ids[i], NULL);
    if (works[i].ns_per_call > most) most = works[i].ns_per_call;
  }
  return most;
}

static int by_size(const void *one, const void *other) {
  double a = *(const double *)one, b = *(const double *)other;
  return (a > b) - (a < b);
}

int main(void) {
  static const struct {
    const char *name;
    way way;
  } ways[] = {{"by hand: mutex, clock, copy", by_hand},
              {"tu_token_copy", copy},
              {"tu_token_get + bearer + tu_free", get},
              {"copy, a named scope", copy_named},
              {"copy, a named one of 100", copy_of_many},
              {"copy, 100 scopes in turn", copy_in_turn},
              {"get, a named scope", get_named},
              {"get, a named one of 100", get_of_many},
              {"get, 100 scopes in turn", get_in_turn},
              {"C++: client.copy", cpp_copy},
              {"C++: client.get", cpp_get}};
  enum { WAYS = sizeof ways / sizeof *ways };
  double results[MAX_THREADS][WAYS][ROUNDS];

  tu_error *error = NULL;
  if (!prepare(&error)) {
    fprintf(stderr, "%s\n", tu_error_message(error));
    return 1;
  }
  if (!cpp_take(tu_client_new(NULL, &error))) return 1;
  cached_until = boot_ns() + 600000000000LL;
  for (int round = 0; round < ROUNDS; round++)
    for (int threads = 1; threads <= MAX_THREADS; threads++)
      for (int i = 0; i < WAYS; i++)
        results[threads - 1][i][round] = ns_per_call(ways[i].way, threads, place_in_round(round));

  printf("a header value of %zu bytes; ns per call (relative to the hand-written cache)\n", cached_length);
  printf("%-32s %16s %16s\n", "", "1 thread", "2 threads");
  for (int i = 0; i < WAYS; i++) {
    printf("%-32s", ways[i].name);
    for (int threads = 0; threads < MAX_THREADS; threads++) {
      samples("c", ways[i].name, threads + 1, "ns", results[threads][i], ROUNDS);
      qsort(results[threads][i], ROUNDS, sizeof(double), by_size);
      double mine = results[threads][i][ROUNDS / 2], hand = results[threads][0][ROUNDS / 2];
      printf(" %8.1f (%4.2fx)", mine, mine / hand);
    }
    printf("\n");
  }
  tu_free(client);
  tu_free(of_many);
  return 0;
}
