#include "bridge.h"

#include <pthread.h>

/* --- the mailbox ---------------------------------------------------------------------------- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t arrival = PTHREAD_COND_INITIALIZER;
/* The lock protects all of the following. */
static tutoken_go_message *first;
static tutoken_go_message **end = &first;
/* Number of last messages still to come: one for each callback, cause and pending call. */
static size_t expected;
/* Whether the collecting goroutine is running or being started. */
static bool is_collected;

static void put(tutoken_go_message *message) {
  message->next = NULL;
  *end = message;
  end = &message->next;
  pthread_cond_signal(&arrival);
}

/* Returns whether the caller must start the collecting goroutine. */
static bool expect(void) {
  bool start = !is_collected;
  expected++;
  is_collected = true;
  return start;
}

static bool is_last(const tutoken_go_message *message) {
  return message->kind == TUTOKEN_GO_ANSWER || message->kind == TUTOKEN_GO_DROP;
}

tutoken_go_message *tutoken_go_collect(void) {
  pthread_mutex_lock(&lock);
  while (!first && expected) pthread_cond_wait(&arrival, &lock);
  tutoken_go_message *all = first;
  first = NULL;
  end = &first;
  if (!all) is_collected = false;
  for (tutoken_go_message *message = all; message; message = message->next) {
    expected -= is_last(message);
  }
  pthread_mutex_unlock(&lock);
  return all;
}

/* Out of memory aborts the process, as everywhere in the library. */
static void *allocated(size_t size) {
  void *memory = calloc(1, size);
  if (!memory) abort();
  return memory;
}

/* --- the program's callbacks ---------------------------------------------------------------- */

/* A message on the stack of a thread that waits until Go has handled it. */
struct question {
  tutoken_go_message message; /* must be first: Go sees only this member */
  pthread_cond_t returned;
  bool is_over, given;
};

static bool ask(tutoken_go_message message) {
  struct question question = {.message = message};
  pthread_cond_init(&question.returned, NULL);
  pthread_mutex_lock(&lock);
  put(&question.message);
  while (!question.is_over) pthread_cond_wait(&question.returned, &lock);
  pthread_mutex_unlock(&lock);
  pthread_cond_destroy(&question.returned);
  return question.given;
}

void tutoken_go_return(tutoken_go_message *message, bool given) {
  struct question *question = (struct question *)message;
  pthread_mutex_lock(&lock);
  question->given = given;
  question->is_over = true;
  /* Under the lock, because the question is gone once the thread sees is_over. */
  pthread_cond_signal(&question->returned);
  pthread_mutex_unlock(&lock);
}

/* The library's user_data for a Go value is the TUTOKEN_GO_DROP message to send when it is released. */
static uintptr_t handle_of(const void *user_data) {
  return ((const tutoken_go_message *)user_data)->handle;
}

static void drop(void *user_data) {
  pthread_mutex_lock(&lock);
  put((tutoken_go_message *)user_data);
  pthread_mutex_unlock(&lock);
}

static tutoken_go_message *held(uintptr_t handle, bool *start) {
  tutoken_go_message *message = allocated(sizeof *message);
  message->handle = handle;
  message->kind = TUTOKEN_GO_DROP;
  pthread_mutex_lock(&lock);
  *start = expect();
  pthread_mutex_unlock(&lock);
  return message;
}

static bool credentials(void *user_data, bool refused, tu_credentials *out) {
  return ask((tutoken_go_message){.handle = handle_of(user_data),
                                  .kind = TUTOKEN_GO_CREDENTIALS,
                                  .refused = refused,
                                  .credentials = out});
}

static void event(void *user_data, const tu_event *event) {
  ask((tutoken_go_message){
      .handle = handle_of(user_data), .kind = TUTOKEN_GO_EVENT, .event = event});
}

bool tutoken_go_on_credentials(tu_config *config, uintptr_t handle) {
  bool start;
  tu_config_on_credentials(config, credentials, held(handle, &start), drop);
  return start;
}

bool tutoken_go_on_event(tu_config *config, uintptr_t handle) {
  bool start;
  tu_config_on_event(config, event, held(handle, &start), drop);
  return start;
}

bool tutoken_go_fail(tu_credentials *out, const char *text, uintptr_t handle) {
  bool start;
  tu_credentials_fail(out, text, held(handle, &start), drop);
  return start;
}

uintptr_t tutoken_go_cause(const tu_error *error) {
  const void *cause = tu_error_cause(error);
  return cause ? handle_of(cause) : 0;
}

/* --- calls ---------------------------------------------------------------------------------- */

/* A pending call. */
struct call {
  tutoken_go_message message; /* must be first: Go sees only this member */
  /* Protected by the lock: the library has finished the call; Go expects a message. */
  bool is_over, is_awaited;
};

static void answer(void *user_data, tu_token *token, tu_error *error) {
  struct call *call = user_data;
  call->message.token = token;
  call->message.error = error;
}

static void end_call(void *user_data) {
  struct call *call = user_data;
  pthread_mutex_lock(&lock);
  call->is_over = true;
  if (call->is_awaited) put(&call->message);
  pthread_mutex_unlock(&lock);
}

tutoken_go_message *tutoken_go_get(tu_client *client, const char *scope, int64_t timeout_ms,
                                   int64_t min_ttl_ms, tu_cancel *cancel, uintptr_t handle,
                                   bool *start) {
  tu_get_options options = TU_GET_OPTIONS_INIT;
  options.scope = scope;
  options.timeout_ms = timeout_ms;
  options.min_ttl_ms = min_ttl_ms;
  options.cancel = cancel;
  struct call *call = allocated(sizeof *call);
  call->message.handle = handle;
  call->message.kind = TUTOKEN_GO_ANSWER;
  tu_error *error = NULL;
  tu_status status = tu_token_get_async(client, &options, answer, call, end_call, &error);
  pthread_mutex_lock(&lock);
  bool is_over = call->is_over;
  if (!is_over) {
    call->is_awaited = true;
    *start = expect();
  }
  pthread_mutex_unlock(&lock);
  if (!is_over) return NULL;
  /* The call was rejected, so `answer` was not called. */
  if (status != TU_OK) call->message.error = error;
  return &call->message;
}

/* --- threads -------------------------------------------------------------------------------- */

uintptr_t tutoken_go_thread(void) {
  static _Thread_local char here;
  return (uintptr_t)&here;
}
