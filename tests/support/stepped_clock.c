/* The system's clock with a step that a test sets: loaded into a redis-server by LD_PRELOAD.
   STEPPED_CLOCK names a file of eight bytes, the step in microseconds. The monotonic clock is left
   as it is. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile int64_t *step_us;

__attribute__((constructor)) static void open_step(void) {
  const char *name = getenv("STEPPED_CLOCK");
  int file = name ? open(name, O_RDONLY) : -1;
  if (file < 0)
    abort();
  void *page = mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, file, 0);
  if (page == MAP_FAILED)
    abort();
  step_us = page;
  close(file);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
  static int (*real)(clockid_t, struct timespec *);
  if (!real)
    real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
  int result = real(clock, now);
  if (result == 0 && clock == CLOCK_REALTIME && step_us) {
    int64_t ns = now->tv_nsec + (*step_us % 1000000) * 1000;
    now->tv_sec += *step_us / 1000000 + (ns >= 1000000000) - (ns < 0);
    now->tv_nsec = ns - (ns >= 1000000000) * 1000000000 + (ns < 0) * 1000000000;
  }
  return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
  struct timespec precise;
  (void)zone;
  int result = clock_gettime(CLOCK_REALTIME, &precise);
  now->tv_sec = precise.tv_sec;
  now->tv_usec = precise.tv_nsec / 1000;
  return result;
}

time_t time(time_t *out) {
  struct timespec precise;
  clock_gettime(CLOCK_REALTIME, &precise);
  if (out)
    *out = precise.tv_sec;
  return precise.tv_sec;
}
