/* A wall clock that a test moves under a process (LD_PRELOAD): CLOCK_REALTIME and the mark of systemd-timesyncd. Every
   other clock is the machine's. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* What a test has written: milliseconds to add to wall time, and whether the clock counts as synchronised. */
static volatile int64_t *state;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("EDGE_TEST_CLOCK");
    int file = path ? open(path, O_RDONLY) : -1;
    if (file < 0) {
        return;
    }
    void *page = mmap(NULL, 16, PROT_READ, MAP_SHARED, file, 0);
    close(file);
    if (page != MAP_FAILED) {
        state = page;
    }
}

int clock_gettime(clockid_t id, struct timespec *time) {
    int result = (int)syscall(SYS_clock_gettime, id, time);
    if (result == 0 && state && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) {
        int64_t ms = (int64_t)time->tv_sec * 1000 + time->tv_nsec / 1000000 + state[0];
        ms = ms < 0 ? 0 : ms;
        time->tv_sec = ms / 1000;
        time->tv_nsec = ms % 1000 * 1000000;
    }
    return result;
}

int statx(int dir, const char *restrict path, int flags, unsigned mask, struct statx *restrict out) {
    if (state && path && strcmp(path, "/run/systemd/timesync/synchronized") == 0) {
        if (!state[1]) {
            errno = ENOENT;
            return -1;
        }
        path = "/";
    }
    return (int)syscall(SYS_statx, dir, path, flags, mask, out);
}
