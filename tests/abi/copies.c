/*
 * Copies of the library and another static Rust library in one program. With -DLINKED the first copy is the one that the
 * program is linked with; its names are visible to the second, which must not use them.
 *
 *   copies [FIRST] SECOND     needs the emulator's TRACKUNIT_* variables
 */
#include "check.h"
#include "loaded.h"
#include "process.h"

#include <sys/wait.h>
#include <unistd.h>

/* Of tests/install/panics.rs. */
extern int32_t other_panics(int32_t divisor);

enum { THREADS = 8, ROUNDS = 200, FORKS = 100 };

struct side {
  struct loaded library;
  tu_client *client;
  int events, drops;
};

static struct side sides[2];

static void on_event(void *user_data, const tu_event *event) {
  (void)event;
  __atomic_fetch_add(&((struct side *)user_data)->events, 1, __ATOMIC_SEQ_CST);
}

static void on_drop(void *user_data) {
  __atomic_fetch_add(&((struct side *)user_data)->drops, 1, __ATOMIC_SEQ_CST);
}

static void begin(struct side *side) {
  tu_config *config = side->library.tu_config_new();
  side->library.tu_config_load_env(config);
  side->library.tu_config_on_event(config, on_event, side, on_drop);
  side->client = side->library.tu_client_new(config, NULL);
  CHECK(side->client != NULL);
  side->library.tu_free(config);
}

/* Whether this copy gives a token, and says so of its own cache. */
static int gets(struct side *side, int again) {
  tu_token *token = side->library.tu_token_get(side->client, NULL, NULL);
  int good = token && side->library.tu_token_serial(token) == side->library.tu_token_at_hand(side->client, NULL);
  if (token && again) side->library.tu_client_invalidate(side->client, token);
  side->library.tu_free(token);
  return good;
}

static uint64_t requests(struct side *side) {
  tu_stats stats;
  stats.struct_size = sizeof stats;
  CHECK(side->library.tu_client_stats(side->client, NULL, &stats, NULL) == TU_OK);
  return stats.requests;
}

static void *use_both(void *failures) {
  for (int round = 0; round < ROUNDS; round++) {
    if (!gets(&sides[round % 2], 0) || other_panics(round % 2 ? 4 : 0) != (round % 2 ? 25 : -1))
      __atomic_fetch_add((int *)failures, 1, __ATOMIC_SEQ_CST);
  }
  return NULL;
}

static void on_many_threads(void) {
  pthread_t threads[THREADS];
  int failures = 0;
  for (int number = 0; number < THREADS; number++) pthread_create(&threads[number], NULL, use_both, &failures);
  for (int number = 0; number < THREADS; number++) pthread_join(threads[number], NULL);
  CHECK(failures == 0);
  CHECK(requests(&sides[0]) == 1 && requests(&sides[1]) == 1);
}

/* A child uses the tokens it inherited from both, then fetches new ones. */
static void in_children(void) {
  int good = 0;
  for (int number = 0; number < FORKS; number++) {
    pid_t child = fork();
    if (child == 0) {
      int again = number % 10 == 0;
      alarm(60);
      _exit(gets(&sides[0], again) && gets(&sides[1], again) && gets(&sides[0], 0) && gets(&sides[1], 0) ? 0 : 1);
    }
    int status = -1;
    good += waitpid(child, &status, 0) == child && status == 0;
  }
  CHECK(good == FORKS);
  CHECK(gets(&sides[0], 0) && gets(&sides[1], 0));
}

static void end(struct side *side) {
  side->library.tu_client_close(side->client);
  side->library.tu_free(side->client);
  for (int waited = 0; waited < 3000 && !__atomic_load_n(&side->drops, __ATOMIC_SEQ_CST); waited++) nap_ms(10);
  CHECK(side->drops == 1 && side->events >= 2);
}

int main(int count, char **arguments) {
  if (count < 2) return fprintf(stderr, "usage: copies [FIRST] SECOND\n"), 2;
#ifdef LINKED
  sides[0].library = load(NULL); /* the program and what it is linked with */
  CHECK(sides[0].library.tu_free == &tu_free);
#else
  sides[0].library = load(arguments[1]);
#endif
  sides[1].library = load(arguments[count - 1]);
  CHECK(sides[0].library.tu_token_get != sides[1].library.tu_token_get);
  for (int number = 0; number < 2; number++) begin(&sides[number]);
  on_many_threads();
  in_children();
  for (int number = 0; number < 2; number++) end(&sides[number]);
  CHECK(other_panics(0) == -1);
  CHECK(dlclose(sides[1].library.handle) == 0 && dlclose(sides[0].library.handle) == 0);
  return closing_line();
}
