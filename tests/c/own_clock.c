/*
 * A program that replaces clock_gettime, as libfaketime and sanitizers do, and lets the boot clock alone
 * jump: no token outlives the jump, although no clock of the kernel has changed.
 */
#include "check.h"
#include "emulator.h"

#include <sys/syscall.h>
#include <time.h>

static time_t jumped;

#ifdef __cplusplus
extern "C"
#endif
int clock_gettime(clockid_t id, struct timespec *time) {
  long status = syscall(SYS_clock_gettime, id, time);
  if (status == 0 && id == CLOCK_BOOTTIME) time->tv_sec += jumped;
  return (int)status;
}

static unsigned long long serial_of(tu_client *client) {
  tu_error *error = NULL;
  tu_token *token = tu_token_get(client, NULL, &error);
  unsigned long long serial = token ? tu_token_serial(token) : 0;
  if (!token) fprintf(stderr, "%s\n", tu_error_message(error));
  tu_free(token);
  tu_free(error);
  return serial;
}

int main(void) {
  tu_client *client = tu_client_new(NULL, NULL);
  char text[4096];
  size_t length = 0;
  long before = requests_to("token");
  unsigned long long first = serial_of(client);
  CHECK(first != 0);
  CHECK(serial_of(client) == first && tu_token_at_hand(client, NULL) == first);
  CHECK(requests_to("token") == before + 1);

  jumped = 7200;
  CHECK(tu_token_at_hand(client, NULL) == 0);
  CHECK(tu_token_copy(client, NULL, text, sizeof text, &length, NULL) == TU_OK);
  CHECK(requests_to("token") == before + 2);
  CHECK(serial_of(client) > first);
  CHECK(requests_to("token") == before + 2);
  tu_free(client);
  return closing_line();
}
