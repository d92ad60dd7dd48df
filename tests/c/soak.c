/*
 * 8 threads keep getting tokens of 2 s from a server that fails every third request: no get fails, no
 * token is wrong, and the number of token requests is what the policy predicts.
 * Usage: soak SECONDS
 *
 * The prediction. The soft window of a 2 s token is a quarter (0.5 s) and the jitter up to another
 * quarter, so it is renewed at an age uniform in 1.0 to 1.5 s: 1.25 s on average. Fetches start at
 * least 1 s apart; requests take milliseconds, negligible here. Requests 3, 6, 9 ... fail, which gives
 * rounds of three requests:
 *   success, 1.25 s, success, 1.25 s, failure, ?, success ...
 * A failed renewal makes one attempt, since a valid token exists. At an age of 1.0 to 1.5 s the token
 * has 1.0 to 0.5 s left; the backoff is at most half of that, but the 1 s between two starts is
 * longer: ? is 1 s. By then the token is 2.0 to 2.5 s old, so it has expired, and callers have waited
 * (up to 0.5 s) for the next one, which arrives.
 * Three requests in 1.25 + 1.25 + 1.0 = 3.5 s: 51.4 per minute.
 */
#include "check.h"
#include "emulator.h"
#include "process.h"

#define THREADS 8
#define ROUND_SECONDS 3.5
#define REQUESTS_A_ROUND 3
#define TOLERANCE 0.2

static tu_client *client;
static volatile int done;

struct caller {
  pthread_t thread;
  int shows; /* whether it checks its tokens against the API */
  long gets, failed, wrong;
  double longest_ms;
};

static void show(struct caller *caller, const tu_token *token) {
  /* A token that expired on the way is not wrong. */
  if (!is_good(tu_token_header(token)) && tu_token_expires_in_ms(token) > 0) caller->wrong++;
}

static void *call(void *place) {
  struct caller *caller = (struct caller *)place;
  while (!done) {
    tu_error *error = NULL;
    double from = now_ms();
    tu_token *token = tu_token_get(client, NULL, &error);
    double took = now_ms() - from;
    if (took > caller->longest_ms) caller->longest_ms = took;
    caller->gets++;
    if (!token && caller->failed++ < 3) fprintf(stderr, "%s\n", tu_error_message(error));
    if (token && caller->shows) show(caller, token);
    tu_free(token);
    tu_free(error);
    nap_ms(1);
  }
  return NULL;
}

/* Faults for this many requests: two tokens of 2 s, then a failure. */
static int fail_every_third(int requests) {
  const char *round = "{\"expires_in\":2,\"count\":2},{\"status\":500,\"count\":1}";
  int rounds = requests / 3 + 1, good = 1;
  /* In pieces: the emulator limits the size of a body. */
  for (int first = 0; first < rounds && good; first += 100) {
    size_t room = 100 * (strlen(round) + 1) + 3, length = 0;
    char *faults = (char *)malloc(room);
    for (int i = first; i < rounds && i < first + 100; i++)
      length += (size_t)snprintf(faults + length, room - length, "%c%s", i == first ? '[' : ',', round);
    snprintf(faults + length, room - length, "]");
    good = set_fault(faults);
    free(faults);
  }
  return good;
}

/* Lets the callers run for this long; prints a line every ten seconds. */
static void soak(struct caller *callers, int seconds) {
  double from = now_ms();
  for (int i = 0; i < THREADS; i++) pthread_create(&callers[i].thread, NULL, call, &callers[i]);
  for (int tenth = 1; now_ms() - from < seconds * 1e3; tenth++) {
    while (now_ms() - from < tenth * 1e4 && now_ms() - from < seconds * 1e3) nap_ms(10);
    printf("%3.0f s: %ld token requests, %d descriptors, %ld KiB\n", (now_ms() - from) / 1e3,
           requests_to("token"), descriptors_now(), resident_now() / 1024);
    fflush(stdout);
  }
}

int main(int count, char **words) {
  int seconds = count > 1 ? atoi(words[1]) : 60;
  if (seconds < 10) return 2; /* a few rounds are too few for an average */
  struct caller callers[THREADS], all;
  memset(callers, 0, sizeof callers);
  memset(&all, 0, sizeof all);
  callers[0].shows = 1;
  double predicted = seconds / ROUND_SECONDS * REQUESTS_A_ROUND;
  CHECK(fail_every_third((int)(predicted * 2) + 10));
  client = tu_client_new(NULL, NULL);
  CHECK(client != NULL);
  int descriptors = descriptors_now();
  soak(callers, seconds);
  long requests = requests_to("token");
  done = 1;
  for (int i = 0; i < THREADS; i++) {
    pthread_join(callers[i].thread, NULL);
    all.gets += callers[i].gets;
    all.failed += callers[i].failed;
    all.wrong += callers[i].wrong;
    if (callers[i].longest_ms > all.longest_ms) all.longest_ms = callers[i].longest_ms;
  }
  printf("%ld gets, %ld failed, %ld wrong tokens, longest %.0f ms\n", all.gets, all.failed,
         all.wrong, all.longest_ms);
  printf("%ld token requests, predicted %.1f (%+.1f %%)\n", requests, predicted,
         100 * ((double)requests / predicted - 1));
  CHECK(all.gets > 100L * seconds);
  CHECK(all.failed == 0);
  CHECK(all.wrong == 0);
  CHECK((double)requests >= predicted * (1 - TOLERANCE));
  CHECK((double)requests <= predicted * (1 + TOLERANCE));
  /* A connection of the library and one of this program may be open. */
  CHECK(descriptors_now() <= descriptors + 2);
  tu_free(client);
  return closing_line();
}
