/*
 * A hit against the number of threads. With more threads than processors, what is shown is the time that a
 * call takes of a processor: the threads share them.
 * Usage: threads ROUNDS
 */
#include "ways.h"

enum { CALLS = 50000 };

typedef void (*way)(struct call *call);

struct work {
  way way;
  tu_client *client;
  int place;
  atomic_int *missing;
};

static void *repeat(void *given) {
  struct work *work = given;
  static _Thread_local char buffer[MOST_BYTES];
  struct call call = {work->client, NULL, buffer};
  stay_on(work->place);
  atomic_fetch_sub(work->missing, 1);
  while (atomic_load(work->missing) > 0) sched_yield();
  for (int i = 0; i < CALLS; i++) {
    work->way(&call);
    __asm__ volatile("" ::"r"(buffer) : "memory");
  }
  return NULL;
}

static double ns_a_call(way way, tu_client *client, int threads) {
  pthread_t ids[MOST_THREADS];
  struct work works[MOST_THREADS];
  atomic_int missing = threads + 1;
  for (int i = 0; i < threads; i++) {
    works[i] = (struct work){way, client, i, &missing};
    pthread_create(&ids[i], NULL, repeat, &works[i]);
  }
  while (atomic_load(&missing) > 1) sched_yield();
  double from = now_ns();
  atomic_fetch_sub(&missing, 1);
  for (int i = 0; i < threads; i++) pthread_join(ids[i], NULL);
  int busy = threads < processors() ? threads : processors();
  return (now_ns() - from) * busy / threads / CALLS;
}

int main(int count, char **words) {
  static const struct {
    const char *name;
    way way;
  } ways[] = {{"by hand: mutex, clock, copy", by_hand},
              {"tu_token_copy", copy},
              {"tu_token_get + tu_free", get_and_free}};
  static const int threads[] = {1, 2, 4, 8, 16};
  must(count == 2, "usage: threads ROUNDS", NULL);
  processors();
  tu_client *client = client_of(url_of("BENCH_PLAIN", "/token"), 0, NULL);
  fill_by_hand(client);
  for (int round = atoi(words[1]); round; round--)
    for (int i = 0; i < 5; i++)
      for (int w = 0; w < 3; w++) {
        double ns = ns_a_call(ways[w].way, client, threads[i]);
        samples("threads", ways[w].name, threads[i], "ns", &ns, 1);
      }
  tu_free(client);
  return 0;
}
