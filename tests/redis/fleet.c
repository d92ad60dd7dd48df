/*
 * Gets tokens all the time, as tests/integration/crowd.rs describes.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <tu_token.h>

static double time_of(clockid_t clock) {
  struct timespec at;
  clock_gettime(clock, &at);
  return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

static double now(void) { return time_of(CLOCK_MONOTONIC); }

static int failed(tu_error *error) {
  fprintf(stderr, "%s: %s\n", tu_status_name(tu_error_status(error)), tu_error_message(error));
  tu_free(error);
  return 1;
}

int main(void) {
  tu_error *error = NULL;
  tu_client *client = tu_client_new(NULL, &error);
  if (!client) return failed(error);

  const char *seconds = getenv("FLEET_SECONDS");
  double end = now() + (seconds ? atof(seconds) : 0), slowest = 0;
  unsigned gets = 0, failures = 0, expired = 0;
  char last[256] = "";
  const struct timespec pause = {0, 50 * 1000 * 1000};
  do {
    double begun = now(), begun_at_ms = time_of(CLOCK_REALTIME) * 1000;
    tu_token *token = tu_token_get(client, NULL, &error);
    double took = now() - begun;
    if (took > slowest) slowest = took;
    gets++;
    if (!token) {
      failures += (unsigned)failed(error);
      error = NULL;
    } else {
      expired += (double)tu_token_expires_at_ms(token) <= begun_at_ms;
      if (strcmp(tu_token_value(token), last) != 0) {
        snprintf(last, sizeof last, "%s", tu_token_value(token));
        printf("token %s\n", last);
      }
      tu_free(token);
    }
    nanosleep(&pause, NULL);
  } while (now() < end);

  tu_stats stats = {.struct_size = sizeof stats};
  if (tu_client_stats(client, NULL, &stats, &error) != TU_OK) return failed(error);
  printf("result %u %u %u %.0f %llu\n", gets, failures, expired, slowest * 1000,
         (unsigned long long)stats.requests);
  tu_free(client);
  return 0;
}
