/*
 * Loads and unloads the library again and again, with its threads alive.
 *
 *   load LIBRARY ROUNDS     needs the emulator's TRACKUNIT_* variables
 */
#include "check.h"
#include "loaded.h"
#include "process.h"

static int events, drops;

static void on_event(void *user_data, const tu_event *event) {
  (void)event;
  __atomic_fetch_add((int *)user_data, 1, __ATOMIC_SEQ_CST);
}

static void on_drop(void *user_data) {
  (void)user_data;
  __atomic_fetch_add(&drops, 1, __ATOMIC_SEQ_CST);
}

static tu_client *new_client(const struct loaded *library) {
  tu_config *config = library->tu_config_new();
  library->tu_config_load_env(config);
  library->tu_config_set(config, "keep_warm", "true");
  library->tu_config_on_event(config, on_event, &events, on_drop);
  tu_client *client = library->tu_client_new(config, NULL);
  library->tu_free(config);
  return client;
}

/* In every second round the client is released during its fetch, otherwise with a renewal scheduled. */
static void round_of(const char *path, int number) {
  struct loaded library = load(path);
  tu_client *client = new_client(&library);
  if (number % 2) {
    tu_get_options options = TU_GET_OPTIONS_INIT;
    options.timeout_ms = TU_NO_WAIT;
    library.tu_free(library.tu_token_get_with(client, &options, NULL));
  } else {
    tu_token *token = library.tu_token_get(client, NULL, NULL);
    CHECK(token != NULL);
    library.tu_free(token);
  }
  CHECK(threads_now() > 1);
  library.tu_free(client);
  CHECK(dlclose(library.handle) == 0);
}

static int dropped_within(int rounds, double ms) {
  for (double end = now_ms() + ms; now_ms() < end; nap_ms(5))
    if (__atomic_load_n(&drops, __ATOMIC_SEQ_CST) == rounds) return 1;
  return 0;
}

int main(int count, char **arguments) {
  int rounds = count == 3 ? atoi(arguments[2]) : 0, number = 0;
  if (rounds < 10) return fprintf(stderr, "usage: load LIBRARY ROUNDS\n"), 2;
  double began = now_ms();
  for (; number < rounds / 10; number++) round_of(arguments[1], number);
  long before = resident_now();
  int descriptors = descriptors_now();
  for (; number < rounds; number++) round_of(arguments[1], number);

  CHECK(dropped_within(rounds, 30000));
  CHECK(threads_now() <= 70);
  CHECK(descriptors_now() <= descriptors + 70);
  CHECK(resident_now() - before < 8 << 20);
  /* Threads may still run its code, so it stays mapped. */
  CHECK(dlopen(arguments[1], RTLD_NOW | RTLD_NOLOAD) != NULL);
  printf("%d rounds in %.0f ms, %d events; then %d threads, %+ld KiB\n", rounds, now_ms() - began, events,
         threads_now(), (resident_now() - before) / 1024);
  return closing_line();
}
