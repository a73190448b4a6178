/* A host clock that is stepped, for tests that may not set one.
 *
 * Preloaded (LD_PRELOAD). The wall clock is ahead by as many seconds as stand in the file named by
 * CLOCK_STEP, or behind by a negative number; the monotonic clock is left alone. A wait for a time of the wall
 * clock (librdkafka's) ends when that clock gets there, also if it is stepped meanwhile, as in the kernel.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/time.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

static long step(void) {
  const char *file = getenv("CLOCK_STEP");
  char text[24] = {0};
  int fd = file ? open(file, O_RDONLY) : -1;
  if (fd < 0) return 0;
  ssize_t size = read(fd, text, sizeof text - 1);
  close(fd);
  return size <= 0 ? 0 : atol(text);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

int clock_gettime(clockid_t clock, struct timespec *at) {
  int code = REAL(clock_gettime)(clock, at);
  if (code == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) at->tv_sec += step();
  return code;
}
int cnd_timedwait(cnd_t *restrict change, mtx_t *restrict mutex, const struct timespec *restrict until) {
  const long long slice = 20000000, second = 1000000000;
  int code = thrd_timedout;
  while (code == thrd_timedout) {
    struct timespec at;
    REAL(clock_gettime)(CLOCK_REALTIME, &at);
    long long left = (until->tv_sec - at.tv_sec - step()) * second + until->tv_nsec - at.tv_nsec;
    if (left <= 0) return thrd_timedout;
    long long end = at.tv_nsec + (left < slice ? left : slice);
    at.tv_sec += end / second, at.tv_nsec = end % second;
    code = REAL(cnd_timedwait)(change, mutex, &at);
  }
  return code;
}
int gettimeofday(struct timeval *restrict at, void *restrict zone) {
  int code = REAL(gettimeofday)(at, zone);
  if (code == 0) at->tv_sec += step();
  return code;
}
time_t time(time_t *at) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (at) *at = now.tv_sec;
  return now.tv_sec;
}
