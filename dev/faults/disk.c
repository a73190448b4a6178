/* A disk that fails on demand, for tests that may not mount one.
 *
 * Preloaded (LD_PRELOAD) into tidegate. While the file named by DISK_FAULT exists, calls on files
 * below the folder DISK_DIR fail: with "ENOSPC" in it every write, with "SOME" one of them in 32, without
 * order but in every run the same, with "EIO" every sync.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

/* Whether it is the turn of this call. */
static int hit(void) {
  static unsigned calls;
  unsigned n = __atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED);
  n = (n ^ n >> 16) * 0x45d9f3bu;
  n = (n ^ n >> 16) * 0x45d9f3bu;
  return (n ^ n >> 16) % 32 == 0;
}

/* What is armed: ENOSPC, EIO or 0. Reads without the functions that are replaced here. */
static int armed(void) {
  const char *file = getenv("DISK_FAULT");
  char text[16] = {0};
  int fd = file ? open(file, O_RDONLY) : -1;
  if (fd < 0) return 0;
  ssize_t size = read(fd, text, sizeof text - 1);
  close(fd);
  if (size <= 0) return 0;
  if (strncmp(text, "SOME", 4) == 0) return hit() ? ENOSPC : 0;
  return strncmp(text, "ENOSPC", 6) == 0 ? ENOSPC : strncmp(text, "EIO", 3) == 0 ? EIO : 0;
}

static int concerns(int fd) {
  const char *dir = getenv("DISK_DIR");
  char link[64], path[PATH_MAX];
  if (!dir) return 0;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t size = readlink(link, path, sizeof path - 1);
  if (size < 0) return 0;
  path[size] = 0;
  return strncmp(path, dir, strlen(dir)) == 0;
}

static int fails(int fd, int how) {
  if (!concerns(fd) || armed() != how) return 0;
  errno = how;
  return 1;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t write(int fd, const void *bytes, size_t size) {
  return fails(fd, ENOSPC) ? -1 : REAL(write)(fd, bytes, size);
}
ssize_t pwrite64(int fd, const void *bytes, size_t size, off64_t at) {
  return fails(fd, ENOSPC) ? -1 : REAL(pwrite64)(fd, bytes, size, at);
}
int ftruncate64(int fd, off64_t size) {
  return fails(fd, ENOSPC) ? -1 : REAL(ftruncate64)(fd, size);
}
int fsync(int fd) { return fails(fd, EIO) ? -1 : REAL(fsync)(fd); }
int fdatasync(int fd) { return fails(fd, EIO) ? -1 : REAL(fdatasync)(fd); }
