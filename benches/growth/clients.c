/*
 * A hit, and memory, against the number of clients of a process, each with its token. The clients are asked
 * in random order.
 * Usage: clients ROUNDS CLIENTS
 */
#include "ways.h"

enum { CALLS = 20000 };

static double resident_kib(void) {
  FILE *file = fopen("/proc/self/statm", "r");
  double pages = 0;
  must(file && fscanf(file, "%*s %lf", &pages) == 1, "no /proc/self/statm", NULL);
  fclose(file);
  return pages * (double)sysconf(_SC_PAGESIZE) / 1024;
}

/* Numbers below `bound`, in an order that no prefetcher knows. */
static unsigned next_below(unsigned long long *state, unsigned bound) {
  *state = *state * 6364136223846793005ULL + 1442695040888963407ULL;
  return (unsigned)((*state >> 33) % bound);
}

static double ns_a_call(tu_client **clients, int many) {
  static char buffer[MOST_BYTES];
  static tu_client *order[CALLS];
  unsigned long long state = 1;
  for (int i = 0; i < CALLS; i++) order[i] = clients[next_below(&state, (unsigned)many)];
  double from = now_ns();
  for (int i = 0; i < CALLS; i++) {
    struct call call = {order[i], NULL, buffer};
    copy(&call);
    __asm__ volatile("" ::"r"(buffer) : "memory");
  }
  return (now_ns() - from) / CALLS;
}

int main(int count, char **words) {
  must(count == 3, "usage: clients ROUNDS CLIENTS", NULL);
  int rounds = atoi(words[1]), most = atoi(words[2]);
  const char *url = url_of("BENCH_PLAIN", "/token");
  tu_client **clients = calloc((size_t)most, sizeof *clients);
  stay_on(processors() - 1);
  /* The first brings what all share. */
  clients[0] = client_of(url, 0, NULL);
  get(clients[0], NULL);
  double before = resident_kib();
  for (int i = 1; i < most; i++) {
    clients[i] = client_of(url, i, NULL);
    get(clients[i], NULL);
    for (int at = 10; at <= most; at *= 10)
      if (i + 1 == at) {
        double kib = (resident_kib() - before) / (at - 1), all = resident_kib() / 1024;
        samples("memory of a client", "client with a token of 900 bytes", at, "KiB", &kib, 1);
        samples("memory of the process", "all clients", at, "MiB", &all, 1);
      }
  }
  for (int round = 0; round < rounds; round++)
    for (int many = 1; many <= most; many *= 10) {
      ns_a_call(clients, many); /* what was asked before is in no cache */
      double ns = ns_a_call(clients, many);
      samples("clients", "tu_token_copy", many, "ns", &ns, 1);
    }
  for (int i = 0; i < most; i++) tu_free(clients[i]);
  free(clients);
  return 0;
}
