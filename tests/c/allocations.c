/*
 * What a call allocates that finds its token cached: nothing for a copy or statistics, one block for a
 * token. The program's own malloc counts, and the library's allocator asks it too.
 */
#include "check.h"

#include <stdlib.h>

#ifdef __cplusplus
#define OF_GLIBC extern "C"
#define NO_THROW noexcept
#else
#define OF_GLIBC extern
#define NO_THROW
#endif

OF_GLIBC void *__libc_malloc(size_t);
OF_GLIBC void *__libc_calloc(size_t, size_t);
OF_GLIBC void *__libc_realloc(void *, size_t);
OF_GLIBC void *__libc_memalign(size_t, size_t);

static __thread long made;

OF_GLIBC void *malloc(size_t size) NO_THROW {
  made++;
  return __libc_malloc(size);
}

OF_GLIBC void *calloc(size_t count, size_t size) NO_THROW {
  made++;
  return __libc_calloc(count, size);
}

OF_GLIBC void *realloc(void *block, size_t size) NO_THROW {
  made++;
  return __libc_realloc(block, size);
}

OF_GLIBC int posix_memalign(void **place, size_t alignment, size_t size) NO_THROW {
  made++;
  *place = __libc_memalign(alignment, size);
  return *place ? 0 : 12;
}

static void take(void *place, tu_token *token, tu_error *error) {
  *(int *)place = token != NULL;
  tu_free(token);
  tu_free(error);
}

/* Of each kind of call, for the default scope and one of its own. */
static void hits(tu_client *client, const char *scope) {
  char text[256];
  size_t length = 0;
  int is_given = 0;
  tu_get_options options = TU_GET_OPTIONS_INIT;
  options.scope = scope;
  long before = made;
  tu_status status = tu_token_copy(client, scope, text, sizeof text, &length, NULL);
  CHECK(made == before);
  CHECK(status == TU_OK && strlen(text) == length);
  CHECK(tu_token_at_hand(client, scope) != 0 && made == before);
  tu_stats stats;
  memset(&stats, 0, sizeof stats);
  stats.struct_size = sizeof stats;
  CHECK(tu_client_stats(client, scope, &stats, NULL) == TU_OK && made == before);
  tu_token *token = tu_token_get(client, scope, NULL);
  CHECK(made == before + 1);
  CHECK(token != NULL);
  tu_free(token);
  token = tu_token_get_with(client, &options, NULL);
  CHECK(made == before + 2);
  CHECK(token != NULL);
  tu_free(token);
  status = tu_token_get_async(client, &options, take, &is_given, NULL, NULL);
  CHECK(status == TU_OK && is_given);
  CHECK(made == before + 3);
}

int main(void) {
  tu_client *client = tu_client_new(NULL, NULL);
  CHECK(client != NULL);
  tu_free(tu_token_get(client, NULL, NULL));
  tu_free(tu_token_get(client, "site.view", NULL));
  CHECK(made > 0);
  hits(client, NULL);
  hits(client, "site.view");
  tu_free(client);
  return closing_line();
}
