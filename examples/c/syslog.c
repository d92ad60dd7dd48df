/*
 * The library's events in syslog (on most systems: in the journal), each with its priority.
 *
 *   export TRACKUNIT_CLIENT_ID=... TRACKUNIT_CLIENT_SECRET=... TRACKUNIT_SCOPE=asset.view
 *   cc syslog.c $(pkg-config --cflags --libs tu_token) -lpthread -o syslog && ./syslog
 *
 * LOG_PERROR also prints them on stderr; leave it out in a service.
 */
#define _DEFAULT_SOURCE
#include <semaphore.h>
#include <stdio.h>
#include <syslog.h>
#include <tu_token.h>

static int priority(const tu_event *event) {
  switch (event->severity) {
    case TU_SEVERITY_DEBUG: return LOG_DEBUG;
    case TU_SEVERITY_INFO: return LOG_INFO;
    default: return LOG_WARNING;
  }
}

/* On one library thread, one event after another. While syslog blocks, only later events wait:
 * callers and fetches do not. An event holds no secret and no token. */
static void log_event(void *user_data, const tu_event *event) {
  (void)user_data;
  syslog(priority(event), "%s client=%s scope=%s status=%s: %s", tu_event_kind_name(event->kind),
         event->client, event->scope, tu_status_name(event->status), event->message);
}

/* Called once, after the last event. */
static void no_more_events(void *ended) { sem_post((sem_t *)ended); }

int main(void) {
  sem_t ended;
  sem_init(&ended, 0, 0);
  openlog("gateway", LOG_PID | LOG_PERROR, LOG_DAEMON);

  tu_config *config = tu_config_new();
  tu_config_load_env(config); /* options from TRACKUNIT_* variables */
  tu_config_on_event(config, log_event, &ended, no_more_events);

  tu_error *error = NULL;
  tu_client *client = tu_client_new(config, &error);
  tu_free(config);

  /* Your program's work: a token before each request, see quickstart.c. */
  tu_token *token = client ? tu_token_get(client, NULL, &error) : NULL;
  int status = token ? 0 : 1;
  if (error) syslog(LOG_ERR, "no token: %s", tu_error_message(error));
  tu_free(token);
  tu_free(error);

  /* Events arrive a moment after what they report: wait for the last one before the log is closed. */
  tu_free(client);
  while (sem_wait(&ended) != 0) {
  }
  closelog();
  sem_destroy(&ended);
  return status;
}
