/*
 * Appends one row to the file that BENCH_RESULTS names, if it names one. The format is described in
 * benches/report/src/samples.rs.
 */
#ifndef SAMPLES_H
#define SAMPLES_H

#include <stdio.h>
#include <stdlib.h>

/* at: where it was measured, such as the number of threads. */
static inline void samples(const char *group, const char *row, double at, const char *unit, const double *rounds,
                           int count) {
  const char *path = getenv("BENCH_RESULTS");
  FILE *file = path ? fopen(path, "a") : NULL;
  if (!file) return;
  fprintf(file, "%s\t%s\t%g\t%s\t", group, row, at, unit);
  for (int i = 0; i < count; i++) fprintf(file, "%s%.9g", i ? " " : "", rounds[i]);
  fputc('\n', file);
  fclose(file);
}

#endif
