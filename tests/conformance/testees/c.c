/*
 * The testee for C: performs the request in each line of JSON on standard input with tu_token.h, and reports the
 * result as a line of JSON. It checks nothing.
 */
#define TU_TEST_CLOCK
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tu_token.h>

#include "c_json.h"

enum { MOST = 64 };

/* --- callbacks ------------------------------------------------------------------------------- */

/* A JSON list shared by callbacks and the main thread; released by the callbacks' drop. */
typedef struct {
  pthread_mutex_t lock;
  cJSON *items;
  int calls;
} list;

static list *list_of(cJSON *items) {
  list *made = must(calloc(1, sizeof *made));
  pthread_mutex_init(&made->lock, NULL);
  made->items = must(items);
  return made;
}

static void drop_list(void *user_data) {
  list *dropped = user_data;
  pthread_mutex_destroy(&dropped->lock);
  cJSON_Delete(dropped->items);
  free(dropped);
}

static void note_event(void *user_data, const tu_event *event) {
  list *events = user_data;
  cJSON *shown = must(cJSON_CreateObject());
  cJSON_AddNumberToObject(shown, "kind", event->kind);
  cJSON_AddNumberToObject(shown, "status", event->status);
  cJSON_AddStringToObject(shown, "client", event->client);
  cJSON_AddStringToObject(shown, "scope", event->scope);
  cJSON_AddStringToObject(shown, "message", event->message);
  cJSON_AddStringToObject(shown, "fingerprint", event->fingerprint);
  cJSON_AddNumberToObject(shown, "http_status", event->http_status);
  cJSON_AddNumberToObject(shown, "attempt", event->attempt);
  cJSON_AddNumberToObject(shown, "duration_ms", (double)event->duration_ms);
  cJSON_AddNumberToObject(shown, "wait_ms", (double)event->wait_ms);
  pthread_mutex_lock(&events->lock);
  cJSON_AddItemToArray(events->items, shown);
  pthread_mutex_unlock(&events->lock);
}

/* Returns one item of the script per call, then repeats the last one. */
static bool give_credentials(void *user_data, bool refused, tu_credentials *out) {
  list *script = user_data;
  (void)refused;
  pthread_mutex_lock(&script->lock);
  int last = cJSON_GetArraySize(script->items) - 1;
  int at = script->calls < last ? script->calls : last;
  script->calls++;
  pthread_mutex_unlock(&script->lock);
  const cJSON *item = cJSON_GetArrayItem(script->items, at);
  if (cJSON_IsArray(item)) {
    tu_credentials_set(out, cJSON_GetStringValue(cJSON_GetArrayItem(item, 0)),
                       cJSON_GetStringValue(cJSON_GetArrayItem(item, 1)));
    return true;
  }
  if (cJSON_IsString(item)) {
    tu_credentials_fail(out, NULL, must(strdup(item->valuestring + strlen("fail: "))), free);
  }
  return false;
}

/* --- clients --------------------------------------------------------------------------------- */

static struct {
  char *name;
  tu_client *client;
  list *events; /* the client's: released with it */
} clients[MOST];

/* The slot of a client, or a free one. */
static int place_of(const char *name) {
  int at = 0;
  while (at < MOST - 1 && clients[at].name && strcmp(clients[at].name, name) != 0) {
    at++;
  }
  return at;
}

/* NULL if there is none, which every function of the library accepts. */
static tu_client *client_of(const cJSON *request) {
  return clients[place_of(text(request, "client"))].client;
}

static void forget_client(int at) {
  tu_free(clients[at].client);
  free(clients[at].name);
  memset(&clients[at], 0, sizeof clients[at]);
}

static cJSON *new_client(const cJSON *request) {
  int at = place_of(text(request, "client"));
  forget_client(at);
  tu_config *config = tu_config_new();
  const cJSON *option;
  cJSON_ArrayForEach(option, cJSON_GetObjectItemCaseSensitive(request, "options")) {
    tu_config_set(config, option->string, option->valuestring);
  }
  const cJSON *script = cJSON_GetObjectItemCaseSensitive(request, "credentials");
  if (script) {
    tu_config_on_credentials(config, give_credentials, list_of(cJSON_Duplicate(script, true)), drop_list);
  }
  list *events = list_of(cJSON_CreateArray());
  tu_config_on_event(config, note_event, events, drop_list);
  tu_error *error = NULL;
  tu_client *client = tu_client_new(config, &error);
  /* Without a client this drops the events. */
  tu_free(config);
  if (!client) {
    return failed(error);
  }
  clients[at].name = must(strdup(text(request, "client")));
  clients[at].client = client;
  clients[at].events = events;
  return ok();
}

/* --- getting tokens ---------------------------------------------------------------------------- */

static tu_get_options options_of(const cJSON *request, tu_cancel *cancel) {
  tu_get_options options = TU_GET_OPTIONS_INIT;
  options.scope = text(request, "scope");
  options.timeout_ms = number(request, "timeout_ms", 0);
  options.min_ttl_ms = number(request, "min_ttl_ms", 0);
  options.cancel = cancel;
  return options;
}

/* Callers started at the same time on separate threads. */
typedef struct waits {
  struct waits *next;
  cJSON *request;
  tu_client *client;
  tu_cancel *cancel;
  int count;
  pthread_barrier_t start;
  pthread_t *threads;
} waits;

static waits *all_waits;

static void *call(void *user_data) {
  waits *group = user_data;
  tu_get_options options = options_of(group->request, group->cancel);
  pthread_barrier_wait(&group->start);
  tu_error *error = NULL;
  tu_token *token = tu_token_get_with(group->client, &options, &error);
  return token_or_error(token, error);
}

static waits *started(const cJSON *request) {
  waits *group = must(calloc(1, sizeof *group));
  group->request = must(cJSON_Duplicate(request, true));
  group->client = client_of(request);
  group->cancel = tu_cancel_new();
  group->count = (int)number(request, "callers", 1);
  group->threads = must(calloc((size_t)group->count, sizeof *group->threads));
  pthread_barrier_init(&group->start, NULL, (unsigned)group->count);
  for (int at = 0; at < group->count; at++) {
    if (pthread_create(&group->threads[at], NULL, call, group) != 0) {
      fputs("no thread\n", stderr);
      exit(70);
    }
  }
  return group;
}

static cJSON *joined(waits *group) {
  cJSON *results = must(cJSON_CreateArray());
  for (int at = 0; at < group->count; at++) {
    void *result = NULL;
    pthread_join(group->threads[at], &result);
    cJSON_AddItemToArray(results, result);
  }
  pthread_barrier_destroy(&group->start);
  free(group->threads);
  tu_free(group->cancel);
  cJSON_Delete(group->request);
  free(group);
  return with("results", results);
}

static cJSON *get(const cJSON *request) {
  return joined(started(request));
}

static cJSON *start(const cJSON *request) {
  waits *group = started(request);
  group->next = all_waits;
  all_waits = group;
  return ok();
}

static waits **waits_of(const cJSON *request) {
  waits **place = &all_waits;
  while (*place && strcmp(text((*place)->request, "id"), text(request, "id")) != 0) {
    place = &(*place)->next;
  }
  return place;
}

static cJSON *cancel(const cJSON *request) {
  waits *group = *waits_of(request);
  if (!group) {
    return unsupported("to cancel what was not started");
  }
  tu_cancel_trigger(group->cancel);
  return ok();
}

static cJSON *join(const cJSON *request) {
  waits **place = waits_of(request);
  waits *group = *place;
  if (!group) {
    return unsupported("to join what was not started");
  }
  *place = group->next;
  return joined(group);
}

/* --- the same with callbacks ------------------------------------------------------------------- */

/* Where answers arrive. An answer is complete once its callback has been dropped. */
static pthread_mutex_t answers_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t answers_came = PTHREAD_COND_INITIALIZER;

typedef struct {
  cJSON *result;
  bool is_dropped;
} answer;

static void take_answer(void *user_data, tu_token *token, tu_error *error) {
  ((answer *)user_data)->result = token_or_error(token, error);
}

static void drop_answer(void *user_data) {
  pthread_mutex_lock(&answers_lock);
  ((answer *)user_data)->is_dropped = true;
  pthread_cond_signal(&answers_came);
  pthread_mutex_unlock(&answers_lock);
}

static cJSON *get_async(const cJSON *request) {
  int count = (int)number(request, "callers", 1);
  answer *answers = must(calloc((size_t)count, sizeof *answers));
  tu_get_options options = options_of(request, NULL);
  for (int at = 0; at < count; at++) {
    tu_error *error = NULL;
    tu_status status = tu_token_get_async(client_of(request), &options, take_answer, &answers[at],
                                          drop_answer, &error);
    if (status != TU_OK) {
      answers[at].result = failed(error);
    }
  }
  cJSON *results = must(cJSON_CreateArray());
  pthread_mutex_lock(&answers_lock);
  for (int at = 0; at < count; at++) {
    while (!answers[at].is_dropped) {
      pthread_cond_wait(&answers_came, &answers_lock);
    }
    cJSON_AddItemToArray(results, answers[at].result);
  }
  pthread_mutex_unlock(&answers_lock);
  free(answers);
  return with("results", results);
}

/* --- the rest ---------------------------------------------------------------------------------- */

static cJSON *invalidate(const cJSON *request) {
  tu_client_invalidate_value(client_of(request), text(request, "token"));
  return ok();
}

static cJSON *rotate_client(const cJSON *request) {
  tu_error *error = NULL;
  tu_status status = tu_client_rotate(client_of(request), text(request, "id"), text(request, "secret"), &error);
  return status_or_error(status, error);
}

static cJSON *wake(const cJSON *request) {
  tu_client_wake(client_of(request));
  return ok();
}

static cJSON *close_client(const cJSON *request) {
  tu_client_close(client_of(request));
  return ok();
}

static cJSON *stats(const cJSON *request) {
  tu_stats found = {.struct_size = sizeof found};
  tu_error *error = NULL;
  if (tu_client_stats(client_of(request), text(request, "scope"), &found, &error) != TU_OK) {
    return failed(error);
  }
  cJSON *shown = must(cJSON_CreateObject());
  cJSON_AddNumberToObject(shown, "state", found.state);
  cJSON_AddNumberToObject(shown, "last_status", found.last_status);
  cJSON_AddNumberToObject(shown, "expires_in_ms", (double)found.expires_in_ms);
  cJSON_AddNumberToObject(shown, "next_request_in_ms", (double)found.next_request_in_ms);
  cJSON_AddNumberToObject(shown, "last_fetch_ms", (double)found.last_fetch_ms);
  cJSON_AddNumberToObject(shown, "waits", (double)found.waits);
  cJSON_AddNumberToObject(shown, "requests", (double)found.requests);
  cJSON_AddNumberToObject(shown, "renewals", (double)found.renewals);
  cJSON_AddNumberToObject(shown, "failures", (double)found.failures);
  return with("stats", shown);
}

static cJSON *may_send_to(const cJSON *request) {
  return with("value", cJSON_CreateBool(tu_client_may_send_to(client_of(request), text(request, "url"))));
}

static cJSON *advance(const cJSON *request) {
  tu_test_advance_ms(number(request, "ms", 0));
  return ok();
}

static cJSON *events(const cJSON *request) {
  list *noted = clients[place_of(text(request, "client"))].events;
  if (!noted) {
    return unsupported("events of no client");
  }
  pthread_mutex_lock(&noted->lock);
  cJSON *copy = cJSON_Duplicate(noted->items, true);
  pthread_mutex_unlock(&noted->lock);
  return with("events", copy);
}

/* --- lines ------------------------------------------------------------------------------------- */

static const struct {
  const char *name, *members;
  cJSON *(*answer)(const cJSON *request);
} requests[] = {
    {"new", "do client options credentials ", new_client},
    {"get", "do client scope timeout_ms min_ttl_ms callers ", get},
    {"get_async", "do client scope timeout_ms min_ttl_ms callers ", get_async},
    {"start", "do id client scope timeout_ms min_ttl_ms callers ", start},
    {"cancel", "do id ", cancel},
    {"join", "do id ", join},
    {"invalidate", "do client token ", invalidate},
    {"rotate", "do client id secret ", rotate_client},
    {"wake", "do client ", wake},
    {"close", "do client ", close_client},
    {"stats", "do client scope ", stats},
    {"may_send_to", "do client url ", may_send_to},
    {"advance", "do ms ", advance},
    {"events", "do client ", events},
};

static bool is_known(const char *members, const char *name) {
  char word[64];
  snprintf(word, sizeof word, "%s ", name);
  return strstr(members, word) != NULL;
}

static cJSON *answer_to(const cJSON *request) {
  const char *name = text(request, "do");
  for (size_t at = 0; name && at < sizeof requests / sizeof *requests; at++) {
    if (strcmp(requests[at].name, name) != 0) {
      continue;
    }
    const cJSON *member;
    cJSON_ArrayForEach(member, request) {
      if (!is_known(requests[at].members, member->string)) {
        return unsupported(member->string);
      }
    }
    return requests[at].answer(request);
  }
  return unsupported(name ? name : "a line that is no request");
}

int main(void) {
  char *line = NULL;
  size_t room = 0;
  while (getline(&line, &room, stdin) > 0) {
    cJSON *request = cJSON_Parse(line);
    cJSON *answer = answer_to(request);
    char *shown = must(cJSON_PrintUnformatted(answer));
    puts(shown);
    fflush(stdout);
    cJSON_free(shown);
    cJSON_Delete(answer);
    cJSON_Delete(request);
  }
  free(line);
  for (int at = 0; at < MOST; at++) {
    forget_client(at);
  }
  return 0;
}
