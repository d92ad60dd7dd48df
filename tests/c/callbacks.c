/*
 * Callbacks that misbehave: they block, call back, close or free the client from inside, return
 * nothing, or (in C++) throw; and what happens to their data in a fork child.
 */
#include "check.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { LONG_MS = 30000, MANY = 100 };

/* The user_data of the callbacks in this file. */
struct scene {
  tu_client *client;
  int calls, drops;
  sem_t entered, leave, dropped, answered;
  tu_status seen;
};

static void scene_init(struct scene *scene) {
  memset(scene, 0, sizeof *scene);
  sem_init(&scene->entered, 0, 0);
  sem_init(&scene->leave, 0, 0);
  sem_init(&scene->dropped, 0, 0);
  sem_init(&scene->answered, 0, 0);
}

static int wait_for(sem_t *semaphore) {
  struct timespec until;
  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_sec += LONG_MS / 1000;
  return sem_timedwait(semaphore, &until) == 0;
}

static double now_ms(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec * 1e3 + (double)time.tv_nsec / 1e6;
}

static void on_drop(void *user_data) {
  struct scene *scene = (struct scene *)user_data;
  scene->drops++;
  sem_post(&scene->dropped);
}

static tu_client *client_of(tu_config *config) {
  tu_error *error = NULL;
  tu_config_load_env(config);
  tu_client *client = tu_client_new(config, &error);
  if (!client) fprintf(stderr, "%s\n", tu_error_message(error));
  tu_free(error);
  tu_free(config);
  return client;
}

static tu_token *get_within(tu_client *client, int64_t timeout_ms, tu_error **error) {
  tu_get_options options = TU_GET_OPTIONS_INIT;
  options.timeout_ms = timeout_ms;
  return tu_token_get_with(client, &options, error);
}

static void give(tu_credentials *out) {
  tu_credentials_set(out, getenv("TRACKUNIT_CLIENT_ID"), getenv("TRACKUNIT_CLIENT_SECRET"));
}

/* --- events ------------------------------------------------------------------------------- */

static void blocking_event(void *user_data, const tu_event *event) {
  struct scene *scene = (struct scene *)user_data;
  (void)event;
  if (scene->calls++ == 0) {
    sem_post(&scene->entered);
    wait_for(&scene->leave);
  }
}

static tu_client *client_with_events(struct scene *scene, tu_event_fn function) {
  tu_config *config = tu_config_new();
  tu_config_on_event(config, function, scene, on_drop);
  return client_of(config);
}

static void an_event_function_that_blocks_holds_up_nothing(void) {
  struct scene scene;
  scene_init(&scene);
  tu_client *client = client_with_events(&scene, blocking_event);
  tu_token *token = tu_token_get(client, NULL, NULL);
  CHECK(token != NULL && wait_for(&scene.entered));
  tu_client_invalidate(client, token);
  tu_free(token);
  token = tu_token_get(client, NULL, NULL);
  CHECK(token != NULL);
  tu_free(token);
  double from = now_ms();
  tu_free(client);
  CHECK(now_ms() - from < 5000);
  CHECK(scene.drops == 0);
  sem_post(&scene.leave);
  CHECK(wait_for(&scene.dropped));
  CHECK(scene.drops == 1 && scene.calls >= 4);
}

static void counting_event(void *user_data, const tu_event *event) {
  struct scene *scene = (struct scene *)user_data;
  CHECK(event->struct_size == sizeof *event);
  CHECK(event->severity ==
        (event->kind == TU_EVENT_FETCH_STARTED ? TU_SEVERITY_DEBUG : TU_SEVERITY_INFO));
  scene->calls++;
  sem_post(&scene->answered);
}

/* Data that drop releases may be read until the program allows the release. */
static void a_closed_client_keeps_its_functions(void) {
  struct scene scene;
  scene_init(&scene);
  tu_client *client = client_with_events(&scene, counting_event);
  tu_free(tu_token_get(client, NULL, NULL));
  CHECK(wait_for(&scene.answered) && wait_for(&scene.answered));
  tu_client_close(client);
  /* A drop would follow the last event, on the same thread. */
  const struct timespec moment = {0, 50 * 1000 * 1000};
  nanosleep(&moment, NULL);
  CHECK(scene.drops == 0 && scene.calls == 2);
  tu_client_drop_functions(client);
  CHECK(wait_for(&scene.dropped) && scene.drops == 1);
  tu_client_drop_functions(client);
  tu_free(client);
  CHECK(scene.drops == 1);
  tu_client_drop_functions(NULL);
}

static void calling_event(void *user_data, const tu_event *event) {
  struct scene *scene = (struct scene *)user_data;
  tu_stats stats;
  memset(&stats, 0, sizeof stats);
  stats.struct_size = sizeof stats;
  if (event->kind != TU_EVENT_FETCH_SUCCEEDED || scene->calls++) return;
  CHECK(tu_client_stats(scene->client, NULL, &stats, NULL) == TU_OK);
  tu_token *token = tu_token_get(scene->client, NULL, NULL);
  CHECK(token != NULL);
  tu_client_invalidate(scene->client, token);
  tu_free(token);
  tu_client_wake(scene->client);
  token = tu_token_get(scene->client, NULL, NULL); /* waits for a fetch, on the events thread */
  CHECK(token != NULL);
  tu_free(token);
  tu_client_close(scene->client);
  tu_error *error = NULL;
  CHECK(tu_token_get(scene->client, NULL, &error) == NULL);
  CHECK_ERROR(error, TU_CLOSED, "closed");
  sem_post(&scene->answered);
}

static void an_event_function_may_call_and_close_its_client(void) {
  struct scene scene;
  scene_init(&scene);
  scene.client = client_with_events(&scene, calling_event);
  tu_token *token = tu_token_get(scene.client, NULL, NULL);
  CHECK(token != NULL);
  tu_free(token);
  CHECK(wait_for(&scene.answered));
  tu_free(scene.client);
  CHECK(wait_for(&scene.dropped) && scene.drops == 1);
}

static void freeing_event(void *user_data, const tu_event *event) {
  struct scene *scene = (struct scene *)user_data;
  (void)event;
  if (scene->calls++) return;
  wait_for(&scene->leave); /* until the program has stopped using the client */
  tu_free(scene->client);
}

static void an_event_function_may_free_its_client(void) {
  struct scene scene;
  scene_init(&scene);
  scene.client = client_with_events(&scene, freeing_event);
  tu_token *token = tu_token_get(scene.client, NULL, NULL);
  CHECK(token != NULL);
  tu_free(token);
  sem_post(&scene.leave);
  CHECK(wait_for(&scene.dropped) && scene.drops == 1);
}

/* --- credentials -------------------------------------------------------------------------- */

static tu_client *client_with_credentials(struct scene *scene, tu_credentials_fn function) {
  tu_config *config = tu_config_new();
  tu_config_on_credentials(config, function, scene, on_drop);
  return client_of(config);
}

static bool blocking_credentials(void *user_data, bool refused, tu_credentials *out) {
  struct scene *scene = (struct scene *)user_data;
  (void)refused;
  if (scene->calls++ == 0) {
    sem_post(&scene->entered);
    wait_for(&scene->leave);
  }
  give(out);
  return true;
}

static void a_credentials_function_that_blocks_costs_a_caller_its_own_timeout(void) {
  struct scene scene;
  tu_error *error = NULL;
  scene_init(&scene);
  tu_client *client = client_with_credentials(&scene, blocking_credentials);
  double from = now_ms();
  CHECK(get_within(client, 100, &error) == NULL);
  CHECK(now_ms() - from < 5000);
  CHECK_ERROR(error, TU_TIMEOUT, "the fetch goes on");
  CHECK(wait_for(&scene.entered));
  sem_post(&scene.leave);
  tu_token *token = tu_token_get(client, NULL, &error);
  CHECK(token != NULL);
  tu_free(token);
  tu_free(client);
  CHECK(wait_for(&scene.dropped) && scene.drops == 1);
}

static bool empty_handed_credentials(void *user_data, bool refused, tu_credentials *out) {
  struct scene *scene = (struct scene *)user_data;
  (void)refused;
  switch (scene->calls++ % 3) {
    case 0: return false;
    case 1: return true; /* and nothing set */
    default: tu_credentials_set(out, NULL, "secret"); return true;
  }
}

static void a_credentials_function_may_have_nothing(void) {
  struct scene scene;
  tu_error *error = NULL;
  scene_init(&scene);
  tu_client *client = client_with_credentials(&scene, empty_handed_credentials);
  CHECK(tu_token_get(client, NULL, &error) == NULL);
  CHECK(tu_error_is_retryable(error));
  CHECK_ERROR(error, TU_CREDENTIALS, "callback");
  CHECK(scene.calls == 3);
  tu_free(client);
  CHECK(wait_for(&scene.dropped) && scene.drops == 1);
}

static bool failing_credentials(void *user_data, bool refused, tu_credentials *out) {
  struct scene *scene = (struct scene *)user_data;
  (void)refused;
  scene->calls++;
  give(out); /* discarded: the failure below overrides it */
  tu_credentials_fail(out, "the vault\nis sealed", scene, on_drop);
  return false;
}

static void a_credentials_function_may_say_why_it_has_nothing(void) {
  struct scene scene;
  tu_error *error = NULL;
  scene_init(&scene);
  tu_config *config = tu_config_new();
  tu_config_load_env(config);
  tu_config_on_credentials(config, failing_credentials, &scene, NULL);
  tu_client *client = tu_client_new(config, NULL);
  tu_free(config);
  CHECK(tu_token_get(client, NULL, &error) == NULL);
  tu_free(client);
  CHECK(tu_error_cause(error) == &scene);
  CHECK(scene.drops == scene.calls - 1); /* the error keeps the last attempt's */
  CHECK_ERROR(error, TU_CREDENTIALS, "failed: the vaultis sealed");
  for (int i = 0; i < scene.calls; i++) CHECK(wait_for(&scene.dropped));
  CHECK(scene.drops == scene.calls);
}

static bool waiting_credentials(void *user_data, bool refused, tu_credentials *out) {
  struct scene *scene = (struct scene *)user_data;
  tu_error *error = NULL;
  (void)refused;
  scene->calls++;
  tu_free(tu_token_get(scene->client, NULL, &error));
  scene->seen = tu_error_status(error);
  tu_free(error);
  give(out);
  return true;
}

static void a_credentials_function_cannot_wait_for_itself(void) {
  struct scene scene;
  scene_init(&scene);
  scene.client = client_with_credentials(&scene, waiting_credentials);
  tu_token *token = tu_token_get(scene.client, NULL, NULL);
  CHECK(token != NULL && scene.seen == TU_INVALID_ARGUMENT);
  tu_free(token);
  tu_free(scene.client);
  CHECK(wait_for(&scene.dropped) && scene.drops == 1);
}

static bool closing_credentials(void *user_data, bool refused, tu_credentials *out) {
  struct scene *scene = (struct scene *)user_data;
  (void)refused;
  scene->calls++;
  tu_client_close(scene->client);
  give(out);
  return true;
}

static void a_credentials_function_may_close_its_client(void) {
  struct scene scene;
  tu_error *error = NULL;
  scene_init(&scene);
  scene.client = client_with_credentials(&scene, closing_credentials);
  CHECK(tu_token_get(scene.client, NULL, &error) == NULL);
  CHECK_ERROR(error, TU_CLOSED, "closed");
  tu_free(scene.client);
  CHECK(wait_for(&scene.dropped) && scene.drops == 1 && scene.calls == 1);
}

/* --- async -------------------------------------------------------------------------------- */

static void freeing_answer(void *user_data, tu_token *token, tu_error *error) {
  struct scene *scene = (struct scene *)user_data;
  scene->calls++;
  CHECK((token != NULL) != (error != NULL));
  tu_free(token);
  tu_free(error);
  tu_free(scene->client);
  sem_post(&scene->answered);
}

static void an_answer_may_free_the_client(void) {
  struct scene scene;
  scene_init(&scene);
  scene.client = client_of(tu_config_new());
  CHECK(tu_token_get_async(scene.client, NULL, freeing_answer, &scene, on_drop, NULL) == TU_OK);
  CHECK(wait_for(&scene.answered) && wait_for(&scene.dropped));
  CHECK(scene.calls == 1 && scene.drops == 1);
}

static void blocking_answer(void *user_data, tu_token *token, tu_error *error) {
  struct scene *scene = (struct scene *)user_data;
  scene->calls++;
  tu_free(token);
  tu_free(error);
  sem_post(&scene->entered);
  wait_for(&scene->leave);
}

static void an_answer_that_blocks_holds_up_no_thread_that_waits(void) {
  struct scene scene;
  scene_init(&scene);
  scene.client = client_of(tu_config_new());
  CHECK(tu_token_get_async(scene.client, NULL, blocking_answer, &scene, on_drop, NULL) == TU_OK);
  tu_token *token = tu_token_get(scene.client, NULL, NULL);
  CHECK(token != NULL);
  CHECK(wait_for(&scene.entered));
  tu_client_invalidate(scene.client, token);
  tu_free(token);
  token = tu_token_get(scene.client, NULL, NULL);
  CHECK(token != NULL);
  tu_free(token);
  tu_free(scene.client);
  CHECK(scene.drops == 0);
  sem_post(&scene.leave);
  CHECK(wait_for(&scene.dropped) && scene.drops == 1 && scene.calls == 1);
}

/* --- many waiters, one tu_free ------------------------------------------------------------ */

struct waiter {
  tu_client *client;
  tu_status status;
};

static void *wait_for_token(void *place) {
  struct waiter *waiter = (struct waiter *)place;
  tu_error *error = NULL;
  tu_free(tu_token_get(waiter->client, NULL, &error));
  waiter->status = tu_error_status(error);
  tu_free(error);
  return NULL;
}

static void freeing_a_client_wakes_all_who_wait(void) {
  static struct waiter waiters[MANY];
  pthread_t threads[MANY];
  struct scene scene;
  tu_stats stats;
  memset(&stats, 0, sizeof stats);
  stats.struct_size = sizeof stats;
  scene_init(&scene);
  tu_client *client = client_with_credentials(&scene, blocking_credentials);
  for (int i = 0; i < MANY; i++) {
    waiters[i].client = client;
    pthread_create(&threads[i], NULL, wait_for_token, &waiters[i]);
  }
  double from = now_ms();
  do {
    usleep(1000);
    tu_client_stats(client, NULL, &stats, NULL);
  } while (stats.waits < MANY && now_ms() - from < LONG_MS);
  CHECK(stats.waits == MANY);
  from = now_ms();
  tu_free(client);
  CHECK(now_ms() - from < 5000);
  int closed = 0;
  for (int i = 0; i < MANY; i++) {
    pthread_join(threads[i], NULL);
    closed += waiters[i].status == TU_CLOSED;
  }
  CHECK(closed == MANY);
  CHECK(now_ms() - from < 10000);
  CHECK(scene.drops == 0); /* its call has not returned */
  sem_post(&scene.leave);
  CHECK(wait_for(&scene.dropped) && scene.drops == 1);
}

/* --- fork --------------------------------------------------------------------------------- */

/* Runs the rest of a test in a child and checks its result. */
static void in_a_child(int (*rest)(struct scene *), struct scene *scene) {
  pid_t child = fork();
  if (child == 0) {
    alarm(60);
    _exit(rest(scene));
  }
  int status = -1;
  waitpid(child, &status, 0);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static int free_and_see_it_dropped(struct scene *scene) {
  int before = scene->drops;
  tu_free(scene->client);
  return before == 0 && scene->drops == 1 ? 0 : 1;
}

static void a_child_drops_an_event_function_that_runs_in_the_parent(void) {
  struct scene scene;
  scene_init(&scene);
  scene.client = client_with_events(&scene, blocking_event);
  tu_free(tu_token_get(scene.client, NULL, NULL));
  CHECK(wait_for(&scene.entered));
  in_a_child(free_and_see_it_dropped, &scene);
  CHECK(scene.drops == 0);
  sem_post(&scene.leave);
  tu_free(scene.client);
  CHECK(wait_for(&scene.dropped) && scene.drops == 1);
}

static int use_and_free(struct scene *scene) {
  scene->calls = 1; /* does not block here */
  tu_token *token = tu_token_get(scene->client, NULL, NULL);
  if (!token || scene->calls < 2) return 2;
  tu_free(token);
  return free_and_see_it_dropped(scene);
}

static void a_child_calls_and_drops_a_credentials_function_that_runs_in_the_parent(void) {
  struct scene scene;
  scene_init(&scene);
  scene.client = client_with_credentials(&scene, blocking_credentials);
  tu_get_options options = TU_GET_OPTIONS_INIT;
  options.timeout_ms = TU_NO_WAIT;
  tu_free(tu_token_get_with(scene.client, &options, NULL));
  CHECK(wait_for(&scene.entered));
  in_a_child(use_and_free, &scene);
  CHECK(scene.drops == 0);
  sem_post(&scene.leave);
  tu_free(scene.client);
  CHECK(wait_for(&scene.dropped) && scene.drops == 1);
}

static void count_answer(void *user_data, tu_token *token, tu_error *error) {
  struct scene *scene = (struct scene *)user_data;
  scene->calls++;
  tu_free(token);
  tu_free(error);
  sem_post(&scene->answered);
}

static int free_and_see_it_dropped_uncalled(struct scene *scene) {
  return free_and_see_it_dropped(scene) || scene->calls != 0;
}

static void a_child_drops_an_answer_that_the_parent_waits_for(void) {
  struct scene credentials, scene;
  scene_init(&credentials);
  scene_init(&scene);
  scene.client = client_with_credentials(&credentials, blocking_credentials);
  CHECK(tu_token_get_async(scene.client, NULL, count_answer, &scene, on_drop, NULL) == TU_OK);
  CHECK(wait_for(&credentials.entered));
  in_a_child(free_and_see_it_dropped_uncalled, &scene);
  sem_post(&credentials.leave);
  CHECK(wait_for(&scene.answered) && wait_for(&scene.dropped));
  CHECK(scene.calls == 1 && scene.drops == 1);
  tu_free(scene.client);
  CHECK(wait_for(&credentials.dropped) && credentials.drops == 1);
}

static void forking_event(void *user_data, const tu_event *event) {
  struct scene *scene = (struct scene *)user_data;
  (void)event;
  if (scene->calls++) return;
  pid_t child = fork();
  if (child == 0) {
    /* The call continues in the child too: nothing may be dropped while it runs. */
    alarm(60);
    tu_token *token = tu_token_get(scene->client, NULL, NULL);
    tu_free(scene->client);
    _exit(token != NULL && scene->drops == 0 ? 0 : 1);
  }
  int status = -1;
  waitpid(child, &status, 0);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  sem_post(&scene->answered);
}

static void an_event_function_may_fork(void) {
  struct scene scene;
  scene_init(&scene);
  scene.client = client_with_events(&scene, forking_event);
  tu_free(tu_token_get(scene.client, NULL, NULL));
  CHECK(wait_for(&scene.answered));
  tu_free(scene.client);
  CHECK(wait_for(&scene.dropped) && scene.drops == 1);
}

/* Every call after the first writes a byte to this pipe, in whichever process it runs. */
static int told[2];

static void forking_answer(void *user_data, tu_token *token, tu_error *error) {
  struct scene *scene = (struct scene *)user_data;
  tu_free(token);
  tu_free(error);
  if (scene->calls++ == 0) {
    if (fork() == 0) {
      alarm(60);
      return; /* the child continues, and ends with this thread */
    }
    wait(NULL);
  } else if (write(told[1], "x", 1) != 1) {
    abort();
  }
  sem_post(&scene->answered);
}

static void a_child_of_an_answer_leaves_the_others_to_the_parent(void) {
  struct scene credentials, scene;
  char calls[8];
  scene_init(&credentials);
  scene_init(&scene);
  CHECK(pipe(told) == 0);
  scene.client = client_with_credentials(&credentials, blocking_credentials);
  for (int i = 0; i < 3; i++)
    CHECK(tu_token_get_async(scene.client, NULL, forking_answer, &scene, NULL, NULL) == TU_OK);
  CHECK(wait_for(&credentials.entered));
  sem_post(&credentials.leave);
  for (int i = 0; i < 3; i++) CHECK(wait_for(&scene.answered));
  CHECK(read(told[0], calls, sizeof calls) == 2);
  close(told[0]);
  close(told[1]);
  tu_free(scene.client);
  CHECK(wait_for(&credentials.dropped) && credentials.drops == 1);
}

static int use_and_see_others_dropped(struct scene *scenes) {
  tu_free(tu_token_get(scenes[0].client, NULL, NULL));
  return scenes[1].drops == 1 && scenes[2].drops == 1 && !scenes[1].calls && !scenes[2].calls ? 0
                                                                                              : 1;
}

static void a_child_drops_answers_that_wait_behind_one_that_blocks(void) {
  static struct scene scenes[3];
  struct scene credentials;
  scene_init(&credentials);
  tu_client *client = client_with_credentials(&credentials, blocking_credentials);
  for (int i = 0; i < 3; i++) {
    scene_init(&scenes[i]);
    scenes[i].client = client;
    CHECK(tu_token_get_async(client, NULL, i ? count_answer : blocking_answer, &scenes[i], on_drop,
                             NULL) == TU_OK);
  }
  CHECK(wait_for(&credentials.entered));
  sem_post(&credentials.leave);
  CHECK(wait_for(&scenes[0].entered));
  in_a_child(use_and_see_others_dropped, scenes);
  sem_post(&scenes[0].leave);
  for (int i = 0; i < 3; i++) CHECK(wait_for(&scenes[i].dropped) && scenes[i].drops == 1);
  tu_free(client);
  CHECK(wait_for(&credentials.dropped));
}

static int use_another_and_see_it_dropped(struct scene *scene) {
  tu_client *client = client_of(tu_config_new());
  tu_free(tu_token_get(client, NULL, NULL));
  tu_free(client);
  /* This child has not used the freed client; the first use of another one is enough. */
  client = scene[1].client;
  tu_free(tu_token_get(client, NULL, NULL));
  return scene[0].drops == 1 ? 0 : 1;
}

static void a_child_drops_the_function_of_a_client_that_its_parent_has_freed(void) {
  static struct scene scenes[2];
  scene_init(&scenes[0]);
  scene_init(&scenes[1]);
  scenes[0].client = client_with_events(&scenes[0], blocking_event);
  scenes[1].client = client_of(tu_config_new());
  tu_free(tu_token_get(scenes[0].client, NULL, NULL));
  CHECK(wait_for(&scenes[0].entered));
  tu_free(scenes[0].client);
  in_a_child(use_another_and_see_it_dropped, scenes);
  CHECK(scenes[0].drops == 0);
  sem_post(&scenes[0].leave);
  CHECK(wait_for(&scenes[0].dropped) && scenes[0].drops == 1);
  tu_free(scenes[1].client);
}

/* --- C++ ---------------------------------------------------------------------------------- */

#ifdef __cplusplus
static bool throwing_credentials(void *, bool, tu_credentials *) { throw 1; }

static void an_exception_out_of_a_callback_ends_the_process(void) {
  pid_t child = fork();
  if (child == 0) {
    struct scene scene;
    scene_init(&scene);
    alarm(60);
    if (!freopen("/dev/null", "w", stderr)) _exit(2);
    tu_free(tu_token_get(client_with_credentials(&scene, throwing_credentials), NULL, NULL));
    _exit(0);
  }
  int status = -1;
  waitpid(child, &status, 0);
  CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}
#endif

int main(void) {
  an_event_function_that_blocks_holds_up_nothing();
  a_closed_client_keeps_its_functions();
  an_event_function_may_call_and_close_its_client();
  an_event_function_may_free_its_client();
  a_credentials_function_that_blocks_costs_a_caller_its_own_timeout();
  a_credentials_function_may_have_nothing();
  a_credentials_function_may_say_why_it_has_nothing();
  a_credentials_function_cannot_wait_for_itself();
  a_credentials_function_may_close_its_client();
  an_answer_may_free_the_client();
  an_answer_that_blocks_holds_up_no_thread_that_waits();
  freeing_a_client_wakes_all_who_wait();
  a_child_drops_an_event_function_that_runs_in_the_parent();
  a_child_calls_and_drops_a_credentials_function_that_runs_in_the_parent();
  a_child_drops_an_answer_that_the_parent_waits_for();
  an_event_function_may_fork();
  a_child_of_an_answer_leaves_the_others_to_the_parent();
  a_child_drops_answers_that_wait_behind_one_that_blocks();
  a_child_drops_the_function_of_a_client_that_its_parent_has_freed();
#ifdef __cplusplus
  an_exception_out_of_a_callback_ends_the_process();
#endif
  return closing_line();
}
