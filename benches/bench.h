/*
 * What the C programs of the benchmarks share: a clock, a place on a processor, clients of the endpoint
 * that bench-server runs.
 */
#ifndef BENCH_H
#define BENCH_H

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <tu_token.h>
#include <unistd.h>

#include "samples.h"

static inline double nanoseconds_of(clockid_t clock) {
  struct timespec time;
  clock_gettime(clock, &time);
  return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static inline double now_ns(void) { return nanoseconds_of(CLOCK_MONOTONIC); }
static inline double now_ms(void) { return now_ns() / 1e6; }

static inline void must(int condition, const char *what, tu_error *error) {
  if (condition) return;
  fprintf(stderr, "%s: %s\n", what, error ? tu_error_message(error) : "failed");
  exit(1);
}

/* The processors that the program may use. Called first before any thread is moved. */
static inline const cpu_set_t *allowed(void) {
  static cpu_set_t all;
  if (!CPU_COUNT(&all)) sched_getaffinity(getpid(), sizeof all, &all);
  return &all;
}

static inline int processors(void) { return CPU_COUNT(allowed()); }

/* Keeps the calling thread on the n-th of them. */
static inline void stay_on(int n) {
  int left = n % processors();
  for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
    if (!CPU_ISSET(cpu, allowed()) || left-- > 0) continue;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    pthread_setaffinity_np(pthread_self(), sizeof one, &one);
    return;
  }
}

/* BENCH_PLAIN or BENCH_TLS, and a path. */
static inline const char *url_of(const char *base, const char *path) {
  static _Thread_local char url[256];
  const char *of_server = getenv(base);
  must(of_server != NULL, "this runs under bench-server", NULL);
  snprintf(url, sizeof url, "%s%s", of_server, path);
  return url;
}

/* options: pairs of key and value, ended by NULL; or NULL. */
static inline tu_client *client_of(const char *url, int number, const char *const *options) {
  char id[32];
  snprintf(id, sizeof id, "client-%d", number);
  tu_config *config = tu_config_new();
  tu_config_set(config, "token_url", url);
  tu_config_set(config, "client_id", id);
  tu_config_set(config, "client_secret", "secret-of-bench");
  tu_config_set(config, "scope", "asset.view");
  tu_config_set(config, "max_requests_per_minute", "1000000");
  for (; options && *options; options += 2) tu_config_set(config, options[0], options[1]);
  tu_error *error = NULL;
  tu_client *client = tu_client_new(config, &error);
  must(client != NULL, "no client", error);
  tu_free(config);
  return client;
}

/* Gets a token and frees it. */
static inline void get(tu_client *client, const char *scope) {
  tu_error *error = NULL;
  tu_token *token = tu_token_get(client, scope, &error);
  must(token != NULL, "no token", error);
  tu_free(token);
}

#endif
