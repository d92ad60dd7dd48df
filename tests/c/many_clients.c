/*
 * Very many clients in one process. Usage: many_clients cold|warm CLIENTS
 * cold: memory per client, without a token and with one; then one thread asks all of them at once
 *       while every answer is delayed: how long that takes, and on how many threads.
 * warm: all of them renew in the background, again and again: on how many threads.
 */
#include "check.h"
#include "emulator.h"
#include "process.h"

#define MOST_BYTES 4096
#define MOST_THREADS_COLD 80
#define MOST_THREADS_WARM 16
/* The aim is 45 s; on a busy machine the answers come later. */
#define MOST_COLD_MS 120000
#define MOST_IDLE_MS 100000
#define MOST_WARM_MS 180000

static int clients;
static tu_client **client;
static volatile int served, failed;
static volatile long token_bytes;
static double last_served;

static void takes(void *unused, tu_token *token, tu_error *error) {
  (void)unused;
  if (token) {
    __sync_fetch_and_add(&token_bytes, (long)tu_token_length(token));
    if (__sync_add_and_fetch(&served, 1) == clients) last_served = now_ms();
  } else if (__sync_fetch_and_add(&failed, 1) < 3) {
    fprintf(stderr, "%s\n", tu_error_message(error));
  }
  tu_free(token);
  tu_free(error);
}

static void make_clients(const char *keep_warm) {
  char name[32];
  for (int i = 0; i < clients; i++) {
    tu_error *error = NULL;
    tu_config *config = tu_config_new();
    snprintf(name, sizeof name, "client-%d", i);
    tu_config_load_env(config);
    tu_config_set(config, "name", name);
    tu_config_set(config, "keep_warm", keep_warm);
    client[i] = tu_client_new(config, &error);
    if (!client[i]) fprintf(stderr, "%s\n", tu_error_message(error));
    tu_free(config);
    tu_free(error);
  }
}

/* Memory per client since `heap` and `resident` were read. The bound is on bytes in use. How many
 * freed pages the C library keeps is up to it (and grows with the processors), so the resident size
 * is only reported, before and after malloc_trim. */
static void weigh(const char *what, long heap, long resident, long tokens) {
  long kept = (resident_now() - resident - tokens) / clients;
  malloc_trim(0);
  heap = (heap_now() - heap - tokens) / clients;
  resident = (resident_now() - resident - tokens) / clients;
  printf("%s: %ld bytes of heap a client (resident %ld, before a trim %ld)\n", what, heap,
         resident, kept);
  CHECK(heap > 0);
  CHECK(heap <= MOST_BYTES);
}

static void cold(void) {
  long heap = heap_now(), resident = resident_now();
  make_clients("false");
  weigh("without a token", heap, resident, 0);

  struct watch watch;
  tu_get_options options = TU_GET_OPTIONS_INIT;
  options.timeout_ms = MOST_COLD_MS;
  CHECK(set_fault("{\"delay\":\"200ms\"}"));
  watch_begins(&watch);
  double from = now_ms();
  for (int i = 0; i < clients; i++) {
    if (tu_token_get_async(client[i], &options, takes, NULL, NULL, NULL) != TU_OK)
      __sync_fetch_and_add(&failed, 1);
  }
  while (served + failed < clients && now_ms() - from < MOST_COLD_MS + 30000) nap_ms(5);
  int threads = watch_ends(&watch, 1);
  double took = last_served - from;
  printf("%d of %d cold clients served in %.1f s, %d failed, at most %d threads\n", served, clients,
         took / 1e3, failed, threads);
  CHECK(served == clients);
  CHECK(failed == 0);
  CHECK(took <= MOST_COLD_MS);
  CHECK(threads <= MOST_THREADS_COLD);
  CHECK(requests_to("token") == clients);
  CHECK(clear_faults());
  /* Wait for idle threads to end: their stacks and the timers of answered calls would count. */
  while (threads_now() > 1 && now_ms() - last_served < MOST_IDLE_MS) nap_ms(20);
  CHECK(threads_now() == 1);
  weigh("with a token, in addition", heap, resident, token_bytes);
}

/* Number of clients with at least two requests: the second one was a renewal. */
static int renewed(void) {
  int count = 0;
  for (int i = 0; i < clients; i++) {
    tu_stats stats;
    stats.struct_size = sizeof stats;
    count += tu_client_stats(client[i], NULL, &stats, NULL) == TU_OK && stats.requests >= 2;
  }
  return count;
}

static void warm(void) {
  struct watch watch;
  CHECK(set_fault("{\"expires_in\":12}"));
  watch_begins(&watch);
  double from = now_ms();
  make_clients("true");
  while (renewed() < clients && now_ms() - from < MOST_WARM_MS) nap_ms(500);
  int threads = watch_ends(&watch, 1);
  printf("%d of %d clients renewed in the background within %.1f s, %ld requests, at most %d threads\n",
         renewed(), clients, (now_ms() - from) / 1e3, requests_to("token"), threads);
  CHECK(renewed() == clients);
  CHECK(threads >= 1);
  CHECK(threads <= MOST_THREADS_WARM);
}

int main(int count, char **words) {
  if (count != 3 || (clients = atoi(words[2])) < 1) return 2;
  client = (tu_client **)calloc((size_t)clients, sizeof *client);
  if (strcmp(words[1], "cold") == 0) cold();
  else if (strcmp(words[1], "warm") == 0) warm();
  else return 2;
  for (int i = 0; i < clients; i++) tu_free(client[i]);
  free(client);
  return closing_line();
}
