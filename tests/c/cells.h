/*
 * Cells of a table: each one a process with a time limit. One that hangs is killed, after the stacks
 * of its threads were printed (with gdb, if there is one).
 */
#ifndef CELLS_H
#define CELLS_H

#include "check.h"
#include "process.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* What a cell reports besides its checks. */
struct figures {
  double longest_ms;   /* a call that was longest beyond its own limit */
  double recovered_ms; /* from the end of the fault to the first success */
  char note[80];
};

struct cell {
  const char *row, *column;
  void (*play)(struct cell *cell);
  const void *fault, *place;
  struct figures *figures; /* shared with the process of the cell */
  pid_t pid;
  double began_ms;
  int status, is_done;
};

static inline void show_stacks(pid_t pid) {
  char command[160];
  snprintf(command, sizeof command,
           "command -v gdb >/dev/null && gdb -p %d -batch -ex 'thread apply all bt' 2>/dev/null "
           "| grep -E '^(Thread|#)' >&2", (int)pid);
  if (system(command) != 0) fprintf(stderr, "(no gdb: no stacks of process %d)\n", (int)pid);
}

static inline void begin_cell(struct cell *cell) {
  fflush(NULL);
  cell->began_ms = now_ms();
  cell->pid = fork();
  if (cell->pid == 0) {
    checks_passed = checks_failed = 0;
    cell->play(cell);
    fflush(NULL);
    _exit(checks_failed != 0);
  }
}

static inline int is_over(struct cell *cell, long limit_ms) {
  if (waitpid(cell->pid, &cell->status, WNOHANG) == cell->pid) return 1;
  if (now_ms() - cell->began_ms < (double)limit_ms) return 0;
  fprintf(stderr, "%s, %s: hangs\n", cell->row, cell->column);
  show_stacks(cell->pid);
  kill(cell->pid, SIGKILL);
  waitpid(cell->pid, &cell->status, 0);
  return 1;
}

/* Plays all cells whose names contain `part`, `at_a_time` of them at once. */
static inline void play_cells(struct cell *cells, int count, const char *part, int at_a_time,
                              long limit_ms) {
  /* Cells write to the same file: no line of theirs may join a part of one. */
  setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
  struct figures *shared =
      (struct figures *)mmap(NULL, (size_t)count * sizeof *shared, PROT_READ | PROT_WRITE,
                             MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  int next = 0, running = 0, done = 0;
  for (int i = 0; i < count; i++) {
    cells[i].figures = &shared[i];
    cells[i].is_done = part && !strstr(cells[i].row, part) && !strstr(cells[i].column, part);
    if (cells[i].is_done) done++;
  }
  while (done < count) {
    for (; next < count && running < at_a_time; next++) {
      if (cells[next].is_done) continue;
      begin_cell(&cells[next]);
      running++;
    }
    for (int i = 0; i < next; i++) {
      struct cell *cell = &cells[i];
      if (cell->is_done || !is_over(cell, limit_ms)) continue;
      cell->is_done = 1;
      running--, done++;
      if (cell->status != 0)
        fprintf(stderr, "FAILED %s, %s: ended with status %d\n", cell->row, cell->column, cell->status);
      CHECK(cell->status == 0);
      printf("%-28s %-50s %s over %6.0f ms  again after %6.0f ms  %s\n", cell->row, cell->column,
             cell->status == 0 ? "ok  " : "BAD ", cell->figures->longest_ms,
             cell->figures->recovered_ms, cell->figures->note);
    }
    nap_ms(5);
  }
  munmap(shared, (size_t)count * sizeof *shared);
}

#endif
