/* A host clock that is stepped, for tests that may not set one.
 *
 * Preloaded (LD_PRELOAD). The wall clock is ahead by as many seconds as stand in the file named by
 * CLOCK_STEP, or behind by a negative number; the monotonic clock is left alone.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/time.h>
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
