/*
 * A hit against the length of the token.
 * Usage: sizes ROUNDS
 */
#include "ways.h"

enum { CALLS = 50000 };

static double ns_a_call(void (*way)(struct call *), tu_client *client) {
  static char buffer[MOST_BYTES];
  struct call call = {client, NULL, buffer};
  double from = now_ns();
  for (int i = 0; i < CALLS; i++) {
    way(&call);
    __asm__ volatile("" ::"r"(buffer) : "memory");
  }
  return (now_ns() - from) / CALLS;
}

int main(int count, char **words) {
  static const int lengths[] = {200, 500, 900, 2000, 4096, 8192, 16384};
  enum { LENGTHS = sizeof lengths / sizeof *lengths };
  tu_client *clients[LENGTHS];
  must(count == 2, "usage: sizes ROUNDS", NULL);
  stay_on(processors() - 1);
  for (int i = 0; i < LENGTHS; i++) {
    char path[64];
    snprintf(path, sizeof path, "/length-%d/token", lengths[i]);
    clients[i] = client_of(url_of("BENCH_PLAIN", path), i, NULL);
    get(clients[i], NULL);
  }
  for (int round = atoi(words[1]); round; round--)
    for (int i = 0; i < LENGTHS; i++) {
      fill_by_hand(clients[i]);
      double ns = ns_a_call(by_hand, clients[i]);
      samples("sizes", "by hand: mutex, clock, copy", lengths[i], "ns", &ns, 1);
      ns = ns_a_call(copy, clients[i]);
      samples("sizes", "tu_token_copy", lengths[i], "ns", &ns, 1);
      ns = ns_a_call(get_and_free, clients[i]);
      samples("sizes", "tu_token_get + tu_free", lengths[i], "ns", &ns, 1);
    }
  for (int i = 0; i < LENGTHS; i++) tu_free(clients[i]);
  return 0;
}
