/*
 * Many clients, one after the other, all cold: processor time and real time of each, in ms.
 * Usage: many ROW URL CLIENTS
 */
#include "../bench.h"

int main(int count, char **words) {
  must(count == 4, "usage: many ROW URL CLIENTS", NULL);
  int many = atoi(words[3]);
  tu_client **clients = calloc((size_t)many, sizeof *clients);
  double from = now_ms(), worked = nanoseconds_of(CLOCK_PROCESS_CPUTIME_ID);
  for (int i = 0; i < many; i++) {
    clients[i] = client_of(words[2], i, NULL);
    get(clients[i], NULL);
  }
  double cpu = (nanoseconds_of(CLOCK_PROCESS_CPUTIME_ID) - worked) / 1e6 / many, ms = (now_ms() - from) / many;
  samples("cold clients: processor time", words[1], many, "ms", &cpu, 1);
  samples("cold clients: real time", words[1], many, "ms", &ms, 1);
  for (int i = 0; i < many; i++) tu_free(clients[i]);
  free(clients);
  return 0;
}
