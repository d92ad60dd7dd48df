/* Loads a shared library and prints the microseconds and the KiB of resident memory that took. */
#include <dlfcn.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static double microseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static long resident(void) {
  long pages = 0;
  FILE *file = fopen("/proc/self/statm", "r");
  if (!file || fscanf(file, "%*d %ld", &pages) != 1) pages = 0;
  if (file) fclose(file);
  return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

int main(int count, char **arguments) {
  if (count != 2) return 2;
  resident(); /* so that what it needs itself is there */
  long before = resident();
  double began = microseconds();
  void *library = dlopen(arguments[1], RTLD_NOW);
  double took = microseconds() - began;
  if (!library) {
    fprintf(stderr, "%s\n", dlerror());
    return 1;
  }
  printf("%.1f %ld\n", took, resident() - before);
  return 0;
}
