/*
 * 8 threads get tokens of 2 s, again and again, from a server that fails every third request: no
 * get fails, no token is a wrong one, and there are as many token requests as the policy foretells.
 * Usage: soak SECONDS
 *
 * The prediction. Of a token of 2 s the soft window is a quarter (0.5 s), the jitter up to another
 * quarter, so it is renewed at an age drawn evenly from 1.0 to 1.5 s: 1.25 s in the mean. Fetches
 * begin at least 1 s apart; requests take milliseconds, which is nothing here. Requests 3, 6, 9 ...
 * fail. So it goes on in rounds of three requests:
 *   success, 1.25 s, success, 1.25 s, failure, ?, success ...
 * A renewal that fails is one attempt, since a valid token is there. At an age of 1.0 to 1.5 s the
 * token has 1.0 to 0.5 s left; the pause after the failure is at most half of that, but the second
 * between two beginnings is longer: ? is 1 s. By then the token is 2.0 to 2.5 s old, so it has
 * ended, and callers have waited for the next one (up to half a second), which comes.
 * Three requests in 1.25 + 1.25 + 1.0 = 3.5 s: 51.4 a minute.
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
  int shows; /* whether it shows its tokens to the API */
  long gets, failed, wrong;
  double longest_ms;
};

static void show(struct caller *caller, const tu_token *token) {
  /* One that died on its way is not a wrong one. */
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

/* Faults for so many requests: two tokens of 2 s, then a failure. */
static int fail_every_third(int requests) {
  const char *round = "{\"expires_in\":2,\"count\":2},{\"status\":500,\"count\":1}";
  int rounds = requests / 3 + 1, good = 1;
  /* A piece at a time: the emulator takes no endless bodies. */
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

/* Lets the callers call for so long; a line every ten seconds. */
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
  if (seconds < 10) return 2; /* a few rounds say nothing about the mean */
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
  /* A connection that is under way, and one of this program's own, may be open. */
  CHECK(descriptors_now() <= descriptors + 2);
  tu_free(client);
  return closing_line();
}
