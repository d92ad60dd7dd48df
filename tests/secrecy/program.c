/*
 * Uses secrets and tokens in every way the C API has, prints all that it is told, releases and wipes everything, and waits
 * to be killed, so that its memory can be searched. With KEEP set, it keeps one client: the search must find that.
 *
 *   program URL...     the token endpoints; the first one gives tokens
 *
 * Environment: TRACKUNIT_*, SECOND_SECRET, SECRET_FILE, STORE, GOOD_PROXY, BAD_PROXY, PARAMS, KEEP.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <tu_token.h>
#include <unistd.h>

extern char **environ;

static int waiting, dropped;

static void on_event(void *user_data, const tu_event *event) {
  (void)user_data;
  printf("event %s %s [%s] [%s] [%s] %s %d\n", tu_event_kind_name(event->kind), tu_status_name(event->status),
         event->client, event->scope, event->fingerprint, event->message, (int)event->http_status);
}

static void on_drop(void *user_data) {
  (void)user_data;
  __atomic_fetch_add(&dropped, 1, __ATOMIC_SEQ_CST);
}

static void report(tu_error *error) {
  const char *code = tu_error_oauth_code(error);
  printf("error %s [%s] %s\n", tu_status_name(tu_error_status(error)), code ? code : "", tu_error_message(error));
  tu_free(error);
}

static bool on_credentials(void *user_data, bool refused, tu_credentials *out) {
  (void)user_data;
  (void)refused;
  tu_credentials_set(out, getenv("TRACKUNIT_CLIENT_ID"), getenv("SECOND_SECRET"));
  return true;
}

static void on_token(void *user_data, tu_token *token, tu_error *error) {
  (void)user_data;
  if (error) report(error);
  tu_free(token);
}

/* What the functions below use. */
static struct {
  const char *url;
  const char *const *options; /* pairs of key and value, then NULL */
  tu_client *client;
  tu_token *token;
} now;

static void create(void) {
  tu_error *error = NULL;
  tu_config *config = tu_config_new();
  tu_config_load_env(config);
  tu_config_set(config, "token_url", now.url);
  tu_config_set(config, "log", "info");
  tu_config_set(config, "name", "secrecy");
  tu_config_on_event(config, on_event, NULL, on_drop);
  waiting++;
  for (const char *const *option = now.options; option && option[0]; option += 2) {
    if (strcmp(option[0], "credentials") == 0) {
      tu_config_on_credentials(config, on_credentials, NULL, on_drop);
      waiting++;
    } else {
      tu_config_set(config, option[0], option[1]);
    }
  }
  now.client = tu_client_new(config, &error);
  tu_free(config);
  if (!now.client) report(error);
}

static void get(void) {
  tu_error *error = NULL;
  now.token = tu_token_get(now.client, NULL, &error);
  if (now.token) printf("token of scope [%s]\n", tu_token_scope(now.token));
  else report(error);
}

static void copy(void) {
  static char buffer[4096];
  size_t length;
  if (tu_token_copy(now.client, NULL, buffer, sizeof buffer, &length, NULL) != TU_OK) printf("no copy\n");
  explicit_bzero(buffer, sizeof buffer);
}

static void refuse(void) { tu_client_api_refused(now.client, "https://iris.trackunit.com/"); }

static void invalidate(void) { tu_client_invalidate(now.client, now.token); }

static void invalidate_value(void) { tu_client_invalidate_value(now.client, tu_token_bearer(now.token)); }

static void rotate(void) {
  tu_error *error = NULL;
  const char *id = getenv("TRACKUNIT_CLIENT_ID"), *secret = getenv("SECOND_SECRET");
  if (tu_client_rotate(now.client, id, secret, &error) != TU_OK) report(error);
}

static void get_async(void) {
  tu_error *error = NULL;
  waiting++;
  if (tu_token_get_async(now.client, NULL, on_token, NULL, on_drop, &error) != TU_OK) report(error);
}

static void free_token(void) { tu_free(now.token); }

static void free_client(void) { tu_free(now.client); }

static void *run(void *function) {
  void (*step)(void);
  memcpy(&step, &function, sizeof step);
  step();
  return NULL;
}

/* On a thread of its own. Its registers end with it; its stack remains, and is never used again. */
static void apart(void (*step)(void)) {
  enum { STACK = 64 * 1024 };
  pthread_t thread;
  pthread_attr_t attributes;
  void *function, *stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  memcpy(&function, &step, sizeof function);
  if (stack == MAP_FAILED || pthread_attr_init(&attributes) != 0 ||
      pthread_attr_setstack(&attributes, stack, STACK) != 0 ||
      pthread_create(&thread, &attributes, run, function) != 0)
    exit(2);
  pthread_join(thread, NULL);
  pthread_attr_destroy(&attributes);
}

/* A later round asks for another token, because an API refused the one before. */
static void get_and_refuse(int rounds) {
  for (int round = 0; round < rounds; round++) {
    apart(get);
    if (!now.token) return;
    apart(copy);
    apart(refuse);
    if (round + 1 < rounds) {
      apart(invalidate);
      apart(invalidate_value);
    }
    apart(free_token);
  }
}

static void use(const char *url, const char *const *options, int rounds) {
  now.url = url;
  now.options = options;
  apart(create);
  if (!now.client) return;
  get_and_refuse(rounds);
  apart(free_client);
}

static void use_another_secret(const char *url) {
  now.url = url;
  now.options = NULL;
  apart(create);
  apart(rotate);
  apart(get_async);
  get_and_refuse(2);
  apart(free_client);
}

static void wait_for_drops(void) {
  struct timespec pause = {0, 10000000};
  for (int waited = 0; waited < 3000; waited++) {
    if (__atomic_load_n(&dropped, __ATOMIC_SEQ_CST) == waiting) return;
    nanosleep(&pause, NULL);
  }
  printf("%d callbacks were not dropped\n", waiting - dropped);
  exit(1);
}

static void wipe_environment(void) {
  for (char **variable = environ; *variable; variable++) explicit_bzero(*variable, strlen(*variable));
}

/* Not on the main thread, because looking for a variable of the environment loads others into registers. */
static void *everything(void *arguments) {
  char **urls = (char **)arguments;
  const char *good = urls[0];
  if (getenv("KEEP")) {
    now.url = good;
    apart(create);
    apart(get);
    waiting--;
  }
  for (int at = 0; urls[at]; at++) use(urls[at], NULL, 1);
  for (int at = 0; urls[at]; at++) use(urls[at], (const char *const[]){"client_auth", "basic", NULL}, 1);
  use(good, (const char *const[]){"client_secret_file", getenv("SECRET_FILE"), NULL}, 1);
  use(good, (const char *const[]){"credentials", "", NULL}, 1);
  use(good, (const char *const[]){"params", getenv("PARAMS"), NULL}, 1);
  use(good, (const char *const[]){"store", getenv("STORE"), "store_timeout", "10s", NULL}, 2);
  use(good, (const char *const[]){"proxy", getenv("GOOD_PROXY"), NULL}, 1);
  use(good, (const char *const[]){"proxy", getenv("BAD_PROXY"), NULL}, 1);
  use_another_secret(good);
  wipe_environment();
  return NULL;
}

int main(int count, char **arguments) {
  pthread_t thread;
  if (count < 2) return 2;
  setvbuf(stdout, NULL, _IOLBF, 0);
  if (pthread_create(&thread, NULL, everything, arguments + 1) != 0 || pthread_join(thread, NULL) != 0) return 2;
  wait_for_drops();
  printf("freed\n");
  for (;;) pause();
}
