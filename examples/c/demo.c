/*
 * Shows what the library does, in a dozen lines of output. `make demo` runs it: against the emulator,
 * or against the real service if TRACKUNIT_CLIENT_ID, _SECRET and _SCOPE are set. Exits with 0 if
 * everything worked.
 */
#include <curl/curl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <tu_token.h>
#include <unistd.h>

enum { THREADS = 64 };

static const char *emulator; /* its base URL; NULL: the real service */
static const char *base;     /* base URL of the IRIS APIs: IRIS_URL, or the real service */
static bool has_failed;      /* something did not work */

static int64_t now_ms(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

static void die(const char *what, tu_error *error) {
  printf("  %s failed: %s: %s\n", what, tu_status_name(tu_error_status(error)),
         tu_error_message(error));
  tu_free(error);
  exit(1);
}

static size_t keep(char *bytes, size_t size, size_t count, void *place) {
  char *text = place;
  size_t used = strlen(text), room = 255 - used, take = size * count < room ? size * count : room;
  memcpy(text + used, bytes, take);
  text[used + take] = '\0';
  return size * count;
}

/* Makes one HTTP request; returns the status; the start of the answer goes to `text` (256 bytes). */
static long http(const char *url, const char *header, const char *post, char *text) {
  long status = 0;
  CURL *curl = curl_easy_init();
  struct curl_slist *headers = header ? curl_slist_append(NULL, header) : NULL;
  *text = '\0';
  curl_easy_setopt(curl, CURLOPT_URL, url);
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
  curl_easy_setopt(curl, CURLOPT_TIMEOUT, 30L);
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, keep);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, text);
  if (post) curl_easy_setopt(curl, CURLOPT_POSTFIELDS, post);
  if (curl_easy_perform(curl) == CURLE_OK) {
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
  }
  curl_slist_free_all(headers);
  curl_easy_cleanup(curl);
  return status;
}

/* Makes a control request to the emulator. */
static void ask_emulator(const char *path, const char *post, char *text) {
  char url[256];
  snprintf(url, sizeof url, "%s%s", emulator, path);
  http(url, NULL, post, text);
}

static int token_requests(void) {
  char text[256];
  ask_emulator("/_emulator/count?route=/token/v2", NULL, text);
  return atoi(text);
}

/* An IRIS request as every program should make it: on a 401, invalidate, get, and retry once. */
static long iris(tu_client *client, int *repeats) {
  char url[256], text[256];
  long status = 0;
  snprintf(url, sizeof url, "%s/api/asset/v2/assets?size=1", base);
  for (*repeats = 0; *repeats < 2; ++*repeats) {
    tu_error *error = NULL;
    tu_token *token = tu_token_get(client, NULL, &error);
    if (!token) die("the token", error);
    status = http(url, tu_token_header(token), NULL, text);
    if (status == 401) tu_client_invalidate(client, token);
    tu_free(token);
    if (status != 401) break;
  }
  if (status == 200 && *text != '{') {
    printf("  %s answered, but not in JSON: is IRIS_URL right?\n", url);
    has_failed = true;
  }
  has_failed |= status != 200;
  return status;
}

static tu_client *new_client(const char *key, const char *value) {
  tu_error *error = NULL;
  tu_config *config = tu_config_new();
  tu_config_load_env(config);
  if (key) tu_config_set(config, key, value);
  tu_client *client = tu_client_new(config, &error);
  tu_free(config);
  if (!client) die("the client", error);
  return client;
}

static void one_token(tu_client *client) {
  tu_error *error = NULL;
  int64_t start = now_ms();
  int repeats;
  tu_token *token = tu_token_get(client, NULL, &error);
  if (!token) die("the token", error);
  printf("  a token      %zu bytes for \"%s\", good for %lld s, in %lld ms\n",
         tu_token_length(token), tu_token_scope(token),
         (long long)(tu_token_expires_in_ms(token) + 500) / 1000, (long long)(now_ms() - start));
  tu_free(token);
  printf("  an IRIS call GET /api/asset/v2/assets answered %ld\n", iris(client, &repeats));
}

static void *get_once(void *client) {
  tu_token *token = tu_token_get(client, NULL, NULL);
  void *served = token ? client : NULL;
  tu_free(token);
  return served;
}

static void many_threads(void) {
  tu_client *client = new_client(NULL, NULL);
  pthread_t threads[THREADS];
  int served = 0, before = emulator ? token_requests() : 0;
  int64_t start = now_ms();
  for (int i = 0; i < THREADS; i++) pthread_create(&threads[i], NULL, get_once, client);
  for (int i = 0; i < THREADS; i++) {
    void *result;
    pthread_join(threads[i], &result);
    served += result != NULL;
  }
  int64_t took = now_ms() - start;
  has_failed |= served != THREADS;
  if (emulator) {
    int made = token_requests() - before;
    printf("  a cold cache %d threads at once: %d served in %lld ms by %d token request%s\n",
           THREADS, served, (long long)took, made, made == 1 ? "" : "s");
  } else {
    printf("  a cold cache %d threads at once: %d served in %lld ms\n", THREADS, served,
           (long long)took);
  }
  tu_free(client);
}

static void turned_clock(tu_client *client) {
  char text[256];
  int repeats;
  ask_emulator("/_emulator/clock", "{\"advance\":\"20m\"}", text);
  long status = iris(client, &repeats);
  printf("  20 min later the API %s; got a new token, asked again: %ld\n",
         repeats ? "refused the token (401)" : "still took the token", status);
}

/* 8-second tokens for 20 seconds: no call fails, no call waits. */
static void renewals(void) {
  char text[256];
  ask_emulator("/_emulator/faults", "{\"route\":\"token\",\"expires_in\":8}", text);
  tu_client *client = new_client("keep_warm", "true");
  tu_free(tu_token_get(client, NULL, NULL));
  int before = token_requests(), calls = 0, failures = 0;
  double longest_us = 0;
  int is_terminal = isatty(1);
  for (int64_t end = now_ms() + 20000; now_ms() < end; calls++) {
    struct timespec from, to, nap = {0, 1000000};
    clock_gettime(CLOCK_MONOTONIC, &from);
    tu_token *token = tu_token_get(client, NULL, NULL);
    clock_gettime(CLOCK_MONOTONIC, &to);
    double us = (double)(to.tv_sec - from.tv_sec) * 1e6 + (double)(to.tv_nsec - from.tv_nsec) / 1e3;
    if (us > longest_us) longest_us = us;
    failures += token == NULL;
    tu_free(token);
    if (is_terminal && calls % 500 == 0) {
      printf("\r  renewals     %lld s to go ... ", (long long)(end - now_ms()) / 1000);
      fflush(stdout);
    }
    nanosleep(&nap, NULL);
  }
  has_failed |= failures > 0;
  tu_stats stats = {.struct_size = sizeof stats};
  tu_client_stats(client, NULL, &stats, NULL);
  printf("%s  renewals     8 s tokens for 20 s: %d calls, %d failed, %llu waited (longest %.1f ms), "
         "%d renewed in the background\n", is_terminal ? "\r" : "", calls, failures,
         (unsigned long long)(stats.waits ? stats.waits - 1 : 0), longest_us / 1e3,
         token_requests() - before);
  tu_free(client);
}

static void wrong_scope(tu_client *client) {
  tu_error *error = NULL;
  tu_token *token = tu_token_get(client, "asset.view everything.else", &error);
  if (token) {
    printf("  a wrong scope was granted: \"%s\"\n", tu_token_scope(token));
    tu_free(token);
    has_failed = true;
    return;
  }
  has_failed |= tu_error_status(error) != TU_INVALID_SCOPE;
  printf("  a wrong scope gives %s:\n    %s\n", tu_status_name(tu_error_status(error)),
         tu_error_message(error));
  tu_free(error);
}

int main(void) {
  setvbuf(stdout, NULL, _IOLBF, 0); /* line-buffered, even into a pipe */
  curl_global_init(CURL_GLOBAL_DEFAULT);
  emulator = getenv("DEMO_EMULATOR");
  base = getenv("IRIS_URL");
  if (!base || !*base) base = "https://iris.trackunit.com";
  printf("tu-token %s against %s%s\n\n", tu_version(), base,
         emulator ? ", the emulator (a service of our own on this machine, no account needed)"
                  : ", with your API key");
  tu_client *client = new_client(NULL, NULL);
  one_token(client);
  many_threads();
  if (emulator) {
    turned_clock(client);
    renewals();
  }
  wrong_scope(client);
  tu_free(client);
  curl_global_cleanup();
  return has_failed ? 1 : 0;
}
