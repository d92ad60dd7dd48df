/*
 * A hit for one of many scopes of a client, each with a token of its own, asked in turn.
 * Usage: scopes ROUNDS
 */
#include "ways.h"

enum { CALLS = 50000, MOST = 1000 };

static char names[MOST][24];

static double ns_a_call(void (*way)(struct call *), tu_client *client, int many) {
  static char buffer[MOST_BYTES];
  double from = now_ns();
  for (int i = 0, at = 0; i < CALLS; i++, at = at + 1 == many ? 0 : at + 1) {
    struct call call = {client, names[at], buffer};
    way(&call);
    __asm__ volatile("" ::"r"(buffer) : "memory");
  }
  return (now_ns() - from) / CALLS;
}

int main(int count, char **words) {
  static const int many[] = {1, 10, 100, 1000};
  tu_client *clients[4];
  must(count == 2, "usage: scopes ROUNDS", NULL);
  stay_on(processors() - 1);
  for (int i = 0; i < MOST; i++) snprintf(names[i], sizeof names[i], "asset.view-%d", i);
  for (int i = 0; i < 4; i++) {
    clients[i] = client_of(url_of("BENCH_PLAIN", "/token"), i, NULL);
    for (int scope = 0; scope < many[i]; scope++) get(clients[i], names[scope]);
  }
  for (int round = atoi(words[1]); round; round--)
    for (int i = 0; i < 4; i++) {
      double ns = ns_a_call(copy, clients[i], many[i]);
      samples("scopes", "tu_token_copy", many[i], "ns", &ns, 1);
      ns = ns_a_call(get_and_free, clients[i], many[i]);
      samples("scopes", "tu_token_get + tu_free", many[i], "ns", &ns, 1);
    }
  for (int i = 0; i < 4; i++) tu_free(clients[i]);
  return 0;
}
