/*
 * A program that changes its environment while the library works: setenv(3) must not run beside getenv(3).
 * So only the thread that calls the library may look at the environment, and only to make a client.
 */
#include "client.h"
#include "emulator.h"

#include <locale.h>
#include <pthread.h>
#include <sys/mman.h>

extern char **environ;

static pthread_t caller;
/* Looks by other threads, and by the caller while it waits for tokens. Changed by atomics. */
static int looks_of_others, looks_during_calls, is_in_call;

/* Takes the place of the C library's, which does the same. */
#ifdef __cplusplus
extern "C"
#endif
char *getenv(const char *name) {
  size_t length = strlen(name);
  int *looks = pthread_equal(pthread_self(), caller) ? &looks_during_calls : &looks_of_others;
  if (looks == &looks_of_others || __atomic_load_n(&is_in_call, __ATOMIC_SEQ_CST)) {
    __atomic_add_fetch(looks, 1, __ATOMIC_SEQ_CST);
    fprintf(stderr, "looked at %s\n", name);
  }
  for (char **each = environ; each && *each; each++)
    if (!strncmp(*each, name, length) && (*each)[length] == '=') return *each + length + 1;
  return NULL;
}

static tu_client *client_of(const char *url, const char *store) {
  tu_config *config = tu_config_new();
  tu_config_load_env(config);
  tu_config_set(config, "token_url", url);
  tu_config_set(config, "store", store);
  return made(config);
}

/* The status of a get with this client, which renews its token. */
static tu_status status_of(tu_client *client, const char *scope) {
  tu_error *error = NULL;
  __atomic_store_n(&is_in_call, 1, __ATOMIC_SEQ_CST);
  tu_token *token = tu_token_get(client, scope, &error);
  tu_status status = token ? TU_OK : tu_error_status(error);
  tu_free(token);
  tu_free(error);
  __atomic_store_n(&is_in_call, 0, __ATOMIC_SEQ_CST);
  return status;
}

/*
 * The C library looks at the environment by itself to translate the text of an error, if the program has set a locale.
 * It would end this program: nothing can be read there.
 */
static void unreadable_environment(const char *url) {
  CHECK(setlocale(LC_ALL, "C.UTF-8") != NULL || setlocale(LC_ALL, "en_US.UTF-8") != NULL);
  tu_client *client = client_of(url, "file:/dev/null/not-a-directory");
  char **kept = environ;
  void *page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(page != MAP_FAILED);
  environ = (char **)page;
  CHECK(status_of(client, NULL) == TU_OK);
  environ = kept;
  munmap(page, 4096);
  tu_free(client);
}

int main(void) {
  caller = pthread_self();
  char secure[128];
  const char *url = getenv("TRACKUNIT_TOKEN_URL"), *colon = strrchr(url, ':');
  snprintf(secure, sizeof secure, "https://localhost%s", colon);
  /* Of the first client of a process, and of another one. */
  for (int i = 0; i < 2; i++) {
    tu_client *plain = client_of(url, "memory"), *tls = client_of(secure, "memory");
    CHECK(status_of(plain, NULL) == TU_OK);
    CHECK(status_of(plain, "asset.view") == TU_OK);
    /* The trust store is read before the server turns out not to speak TLS. */
    CHECK(status_of(tls, NULL) == TU_TLS);
    tu_free(plain);
    tu_free(tls);
  }
  unreadable_environment(url);
  CHECK(looks_during_calls == 0);
  CHECK(looks_of_others == 0);
  return closing_line();
}
