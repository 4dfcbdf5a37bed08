/* How long a program takes from fork to its end: start TIMES COMMAND [ARGUMENT…]. Says the median
 * of wall and of CPU time, the child's own, as one event each. */
#include <sys/wait.h>
#include <unistd.h>

#include "measure.h"

int main(int count, char **arguments) {
  if (count < 3) return 2;
  int times = atoi(arguments[1]);
  double *walls = calloc((size_t)times, sizeof *walls), *cpus = calloc((size_t)times, sizeof *cpus);
  long rss = 0;
  for (int i = 0; i < times; i++) {
    double before = measure_wall();
    pid_t child = fork();
    if (child == 0) {
      execvp(arguments[2], arguments + 2);
      _exit(127);
    }
    int status;
    struct rusage usage;
    if (wait4(child, &status, 0, &usage) < 0 || status != 0) return 1;
    walls[i] = measure_wall() - before;
    cpus[i] = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
              (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    rss = usage.ru_maxrss;
  }
  qsort(walls, (size_t)times, sizeof *walls, measure_compare);
  qsort(cpus, (size_t)times, sizeof *cpus, measure_compare);
  printf("events=1 cpu=%.9f wall=%.9f rss=%ld\n", cpus[times / 2], walls[times / 2], rss);
  return 0;
}
