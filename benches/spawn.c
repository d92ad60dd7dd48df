/*
 * Runs a program and prints, after its output, the milliseconds from posix_spawn to its end. A small process of its own:
 * what starts a process takes part of the time, and more of it the larger it is.
 *
 *   spawn PROGRAM [ARGUMENT...]
 */
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static double milliseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

/* The exit code, or 127 if it could not be started; -1 after a signal. */
static int run(char **program, posix_spawn_file_actions_t *actions, double *took) {
  double began = milliseconds();
  pid_t child;
  int status;
  int error = posix_spawnp(&child, program[0], actions, NULL, program, environ);
  if (error) {
    fprintf(stderr, "%s: %s\n", program[0], strerror(error));
    return 127;
  }
  if (waitpid(child, &status, 0) != child) return -1;
  *took = milliseconds() - began;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

int main(int count, char **arguments) {
  if (count < 2) return 2;
  /* Nobody reads the pipe before the program has ended: a reader would run on the same processor. */
  int output[2];
  if (pipe(output) != 0) return 1;
  fcntl(output[0], F_SETFD, FD_CLOEXEC);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, output[1], STDOUT_FILENO);
  posix_spawn_file_actions_addclose(&actions, output[1]);
  double took = 0;
  int code = run(arguments + 1, &actions, &took);
  posix_spawn_file_actions_destroy(&actions);
  close(output[1]);
  char text[4096];
  ssize_t length;
  while ((length = read(output[0], text, sizeof text)) > 0) fwrite(text, 1, (size_t)length, stdout);
  printf("%.4f\n", took);
  return code;
}
