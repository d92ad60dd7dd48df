/*
 * The first token of a process, a further fetch of the same client, and a further client; in ms.
 * Usage: first GROUP ROW URL [KEY VALUE]...   (options of the library)
 * Writes the rows `GROUP: first`, `GROUP: further fetch` and `GROUP: further client`.
 */
#include "../bench.h"

static void row(const char *group, const char *part, const char *name, double ms) {
  char full[128];
  snprintf(full, sizeof full, "%s: %s", group, part);
  samples(full, name, 1, "ms", &ms, 1);
}

int main(int count, char **words) {
  must(count > 3, "usage: first GROUP ROW URL [KEY VALUE]...", NULL);
  const char *group = words[1], *name = words[2], *url = words[3];
  const char *const *options = (const char *const *)words + 4;
  double from = now_ms();
  tu_client *client = client_of(url, 0, options);
  get(client, NULL);
  row(group, "first", name, now_ms() - from);
  for (int i = 0; i < 4; i++) {
    /* Another scope is another token. */
    char scope[32];
    snprintf(scope, sizeof scope, "scope-%d", i);
    from = now_ms();
    get(client, scope);
    row(group, "further fetch", name, now_ms() - from);
  }
  for (int i = 1; i < 5; i++) {
    from = now_ms();
    tu_client *further = client_of(url, i, options);
    get(further, NULL);
    row(group, "further client", name, now_ms() - from);
    tu_free(further);
  }
  tu_free(client);
  return 0;
}
